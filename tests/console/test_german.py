"""The console in German: whole where it claims to be, and English where nobody asked for it."""

from __future__ import annotations

import ast
import gettext
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestration import reading
from orchestration.admin.goal_deeds import GOAL_DEEDS
from orchestration.models import LedgerEntry, Reader, Scope
from orchestration.services.why import why
from tests.api.people import goal, held, person
from tests.console.test_inbox import asked
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

ADMIN = "admin:agentsys_orchestration_"
FOLDER = Path(settings.BASE_DIR) / "orchestration" / "locale" / "de" / "LC_MESSAGES"
TEMPLATES = Path(settings.BASE_DIR) / "orchestration" / "templates"


def catalogue() -> dict[str, str]:
    """English → German, of the file that is in use."""
    with (FOLDER / "django.mo").open("rb") as file:
        found = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {(key[0] if isinstance(key, tuple) else key): text for key, text in found.items()}


@pytest.fixture
def client() -> Client:
    client = console(person("ada", "admin", is_staff=True))
    client.post(reverse("console-reading"), {"time_zone": "", "language": "de"})
    return client


def words(client: Client, url: str) -> str:
    """What a person sees and hears of the console's own page: text and labels, without rows' JSON."""
    text = client.get(url).content.decode()
    page = text[text.find('class="as-page') :].split('id="content-main"')[0]
    page = re.sub(r"<(script|style|pre|code)\b.*?</\1>", " ", page, flags=re.DOTALL)
    said = re.findall(r'(?:aria-label|placeholder|title)="([^"]*)"', page)
    shown = re.sub(r"<[^>]+>", "|", page)
    return html.unescape(" ".join([*said, shown]))


def english_in(text: str) -> list[str]:
    """Sentences and words of the catalogue that stand there as a whole, untranslated."""
    known = {key: german for key, german in catalogue().items() if key and key != german}
    pieces = {" ".join(piece.split()) for piece in text.split("|")}
    whole = [key for key in known if "%(" not in key and len(key) > 14 and key in text]
    return whole + sorted(pieces & set(known) - set(known.values()))


def pages() -> dict[str, str]:
    request = held(goal(objective="Aufräumen"), question="Darf der Ordner weg?", title="Weg damit")
    asked("Noch eine?", kind="budget", risk="write")
    goal_page = reverse(f"{ADMIN}goal_change", args=[request.goal_id])
    return {
        "inbox": reverse(f"{ADMIN}approvalrequest_changelist"),
        "decided": reverse(f"{ADMIN}approvalrequest_changelist") + "?is=decided",
        "request": reverse(f"{ADMIN}approvalrequest_change", args=[request.pk]),
        "goal": goal_page,
        "home": reverse("admin:index"),
        "task": reverse(f"{ADMIN}task_change", args=[request.task_id]),
        "notifications": reverse("console-notices"),
        "reading": reverse("console-reading"),
    }


def deeds() -> dict[str, str]:
    """What is done to a goal and to a task, with what follows from it."""
    row = held(goal()).goal
    task = row.tasks.order_by("pk")[0]
    of_goal = dict.fromkeys(GOAL_DEEDS, ("goal", row.pk))
    of_task = {f"task, {name}": ("task", task.pk) for name in ("pause", "resume", "edit")}
    return {
        name: reverse(f"admin:agentsys_{kind}_deed", args=[pk, name.removeprefix("task, ")])
        for name, (kind, pk) in {**of_goal, **of_task}.items()
    }


def test_what_follows_from_each_deed_is_in_german(client):
    for name, url in deeds().items():
        text = words(client, url)
        assert english_in(text) == [], name
        follows = text.split("Was daraus folgt")[1]
        assert not re.search(r"\b(the|will|are|its|which)\b", follows), f"{name}: {follows}"


def test_several_goals_are_steered_in_german(client):
    rows = [goal(tasks=1), goal(tasks=3), goal(state="succeeded", finished_at=timezone.now())]
    sent = {"action": "cancel", "index": "0", "_selected_action": [row.pk for row in rows]}
    url = reverse(f"{ADMIN}goal_changelist")
    first = html.unescape(client.post(url, sent).content.decode())
    for said in ("Die Ziele abbrechen", "1 Aufgabe wird nicht erledigt", "3 Aufgaben werden nicht erledigt",
                 "Bleibt, wie es ist: Zustand: gelungen"):  # fmt: skip
        assert said in first, said
    done = client.post(url, {**sent, "shown": "1", "reason": "genug"}).content.decode()
    assert "2 erledigt, 1 gelassen, wie sie sind." in done
    events = LedgerEntry.objects.filter(event="goal.cancelled")
    assert {entry.payload["reason"] for entry in events} == {"genug"}


@pytest.mark.parametrize(
    "name", ["inbox", "decided", "request", "goal", "task", "home", "notifications", "reading"]
)
def test_a_german_page_has_no_english_of_the_catalogue(client, name):
    text = words(client, pages()[name])
    assert english_in(text) == []
    assert re.search("Konsole|Eingang", text)


def test_the_german_inbox_says_what_it_asks_in_german(client):
    url = pages()["inbox"]
    assert "2 warten auf Sie" in client.get(url).content.decode()
    text = words(client, url)
    for said in ("Eingang", "Soll das geschehen?", "Mehr Budget?", "unwiderruflich", "Sie entscheiden",
                 "Älteste zuerst", "Die gewählten entscheiden"):  # fmt: skip
        assert said in text, said


def test_an_english_page_is_what_it_was(client):
    client.post(reverse("console-reading"), {"time_zone": "", "language": "en"})
    found = pages()
    assert english_in(words(client, found["inbox"])) != [], "the search finds English where it is"
    assert 'lang="en"' in client.get(found["inbox"]).content.decode()


def test_the_browser_says_the_language_until_a_person_does(client):
    vera = console(person("vera", "viewer", is_staff=True))
    url = pages()["inbox"]
    german = vera.get(url, headers={"accept-language": "de-AT,de;q=0.9"})
    assert german.headers["Content-Language"] == "de"
    assert "Accept-Language" in german.headers["Vary"]
    assert "Eingang" in german.content.decode()
    assert "Eingang" not in vera.get(url, headers={"accept-language": "fr"}).content.decode()
    vera.post(reverse("console-reading"), {"time_zone": "", "language": "en"})
    assert "Eingang" not in vera.get(url, headers={"accept-language": "de"}).content.decode()
    assert Reader.objects.get(user__username="vera").language == "en"
    assert reading.LANGUAGE in vera.session


def test_files_and_decisions_stay_in_english(client):
    url = pages()["inbox"]
    lines = b"".join(client.get(url + "?export=csv").streaming_content).decode()
    assert lines.startswith("id,state,kind,question,risk")
    assert ",open,budget,Noch eine?,write," in lines


def test_the_api_and_what_is_kept_stay_in_english_whoever_asks(client):
    row = held(goal()).goal
    german = {"Accept-Language": "de"}
    told = client.get(f"/api/v1/goals/{row.pk}/why", headers=german).json()
    assert told["sentence"] == why(f"goal-{row.pk}").sentence
    assert "waits for a person" in told["sentence"]
    brief = client.get(f"/api/v1/goals/{row.pk}/brief", headers=german).json()
    assert brief["sentence"] == told["sentence"]
    client.post(reverse("admin:agentsys_goal_deed", args=[row.pk, "pause"]), {"reason": "genug"})
    entry = LedgerEntry.objects.get(event="goal.paused")
    assert (entry.actor, entry.payload["reason"]) == ("ada", "genug")
    assert LogEntry.objects.get().get_change_message() == "Pause the goal"


def test_the_history_of_a_row_keeps_english_names_of_fields():
    root = console(person("root", is_staff=True, is_superuser=True))
    root.post(reverse("console-reading"), {"time_zone": "", "language": "de"})
    row = Scope.objects.create(project=goal().project, resource="repo:x", role="coder")
    url = reverse(f"{ADMIN}scope_change", args=[row.pk])
    assert "Ressource" in root.get(url).content.decode()
    sent = {"project": row.project_id, "resource": "repo:y", "role": "coder", "exclusive": "on"}
    assert root.post(url, sent).status_code == 302
    assert "Resource: repo:x" in LogEntry.objects.get().change_message


def test_a_list_is_saved_under_its_english_name(client):
    answer = client.get(reverse(f"{ADMIN}task_changelist") + "?export=csv")
    assert 'filename="tasks' in answer.headers["Content-Disposition"]


# --- The files -----------------------------------------------------------------------------------


def test_what_templates_mark_is_in_the_catalogue():
    known, missing = catalogue(), []
    for path in sorted(TEMPLATES.rglob("*.html")):
        marked = re.findall(r'\{% translate "((?:[^"\\]|\\.)*)"', path.read_text())
        missing += [f"{path.name}: {text}" for text in marked if text not in known]
    assert missing == [], "run makemessages, translate, and compilemessages"


def entries(text: str) -> list[tuple[str, ...]]:
    """Of a .po file: (msgid, plural or "", translations …), without its head."""
    found = []
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            if match := re.match(r'(msgid|msgid_plural|msgstr\S*) "', line):
                name = match[1]
                fields[name] = ""
                line = line.removeprefix(f"{name} ")
            if line.startswith('"'):
                fields[name] += ast.literal_eval(line)
        texts = [said for name, said in fields.items() if name.startswith("msgstr")]
        found.append((fields["msgid"], fields.get("msgid_plural", ""), *texts))
    return [each for each in found if each[0]]


def test_every_entry_is_translated_once_with_the_placeholders_that_it_has():
    text = (FOLDER / "django.po").read_text()
    assert "fuzzy" not in text
    assert "\n#~" not in text
    found = entries(text)
    ids = [each[0] for each in found]
    assert len(ids) > 1000
    assert len(ids) == len(set(ids))
    for msgid, plural, *translations in found:
        assert len(translations) == (2 if plural else 1), msgid
        for said in translations:
            assert said.strip(), msgid
            assert placeholders(said) == placeholders(plural or msgid), msgid


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s|(?<![$%])\{\w*\}", text))


def test_what_the_sources_mark_is_in_the_file_and_nothing_else(tmp_path):
    """As `makemessages` finds it, in a copy."""
    if shutil.which("xgettext") is None:
        pytest.skip("xgettext is not installed")
    copy = tmp_path / "orchestration"
    shutil.copytree(FOLDER.parents[2], copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "locale" / "de" / "LC_MESSAGES" / "django.po").unlink()
    words = [sys.executable, "-m", "django", "makemessages", "-l", "de", "--no-location"]
    subprocess.run(words, cwd=copy, check=True, capture_output=True)
    made = (copy / "locale" / "de" / "LC_MESSAGES" / "django.po").read_text()
    marked = {each[:2] for each in entries(made)}
    kept = {each[:2] for each in entries((FOLDER / "django.po").read_text())}
    assert marked - kept == set(), "run makemessages, translate, and compilemessages"
    assert kept - marked == set(), "nothing says this any more"


def test_the_compiled_file_is_of_the_text(tmp_path):
    if shutil.which("msgfmt") is None:
        pytest.skip("msgfmt is not installed")
    made = tmp_path / "django.mo"
    subprocess.run(["msgfmt", "-o", made, FOLDER / "django.po"], check=True)
    assert made.read_bytes() == (FOLDER / "django.mo").read_bytes()
