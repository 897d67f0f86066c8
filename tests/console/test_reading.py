"""How a person reads: times in their zone, which is named, and pages in their language."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestration import reading
from orchestration.admin.gantt import tick_text, tick_times
from orchestration.models import Goal, Reader
from orchestration.show import moment
from tests.api.people import goal, held, person
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

ADMIN = "admin:agentsys_orchestration_"
AT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)  # in Berlin it is tomorrow


@pytest.fixture
def olga():
    return person("olga", "operator", is_staff=True)


@pytest.fixture
def row():
    found = goal()
    Goal.objects.filter(pk=found.pk).update(created_at=AT)
    return found


def page(client, row, **headers):
    url = reverse(f"{ADMIN}goal_change", args=[row.pk])
    return client.get(url, headers=headers).content.decode()


def test_a_time_names_its_zone_and_its_tooltip_is_iso_in_utc():
    with timezone.override(ZoneInfo("Europe/Berlin")):
        shown = moment(AT, "s")
    assert shown == (
        '<time class="as-num" datetime="2026-07-01T22:30:00Z" title="2026-07-01T22:30:00Z">'
        "2026-07-02 00:30:00 CEST</time>"
    )
    assert moment(None) == ""


def test_without_a_word_of_the_browser_times_are_utc(olga, row):
    text = page(console(olga), row)
    assert "2026-07-01 22:30 UTC" in text
    assert "Times in UTC" in text


def test_the_browsers_zone_comes_by_a_cookie_and_nonsense_is_not_used(olga, row):
    client = console(olga)
    client.cookies[reading.ZONE] = "Asia/Kolkata"
    assert "2026-07-02 04:00 IST" in page(client, row)
    for wrong in ("../../etc/passwd", "Mars/Phobos", "<b>", "UTC" * 50):
        client.cookies[reading.ZONE] = wrong
        assert "2026-07-01 22:30 UTC" in page(client, row)


def test_what_was_chosen_without_a_script_wins_and_is_kept(olga, row):
    client = console(olga)
    client.cookies[reading.ZONE] = "Asia/Kolkata"
    url = reverse("console-reading")
    assert '<option value="">as the browser says' in client.get(url).content.decode()
    chosen = {"time_zone": "America/New_York", "language": ""}
    assert "Pages are shown as you chose" in client.post(url, chosen, follow=True).content.decode()
    assert "2026-07-01 18:30 EDT" in page(client, row)
    later = console(olga)  # signs in anew
    assert "2026-07-01 18:30 EDT" in page(later, row)
    client.post(url, {"time_zone": "", "language": ""})
    assert "2026-07-02 04:00 IST" in page(client, row)
    assert Reader.objects.get().time_zone == ""


@pytest.mark.parametrize("sent", [{"time_zone": "Mars/Phobos"}, {"language": "tlh"}])
def test_what_is_none_of_the_choices_is_refused(olga, sent):
    text = console(olga).post(reverse("console-reading"), sent, follow=True).content.decode()
    assert "There is no time zone" in text or "not written in that language" in text
    assert not Reader.objects.exists()


def test_lists_of_the_admin_name_the_zone_too(olga, row):
    client = console(olga)
    client.cookies[reading.ZONE] = "Europe/Berlin"
    listed = client.get(reverse(f"{ADMIN}goal_changelist")).content.decode()
    assert "2026-07-02 00:30:00 CEST" in listed


def test_the_api_keeps_to_utc_and_english(olga, row):
    client = console(olga)
    client.cookies[reading.ZONE] = "Europe/Berlin"
    told = client.get(f"/api/v1/goals/{row.pk}", headers={"accept-language": "de"})
    assert told.json()["created_at"] == "2026-07-01T22:30:00+00:00"
    wrong = client.get("/api/v1/goals?limit=x", headers={"accept-language": "de"})
    assert wrong.status_code >= 400
    assert "Content-Language" not in told.headers
    assert not re.search("[äöü]", wrong.content.decode())


def test_what_is_typed_in_the_audit_is_meant_where_the_reader_is():
    client = console(person("aud", "auditor", is_staff=True))
    row = goal()
    at = row.ledger.order_by("seq")[0].at.astimezone(ZoneInfo("Asia/Kolkata"))
    client.cookies[reading.ZONE] = "Asia/Kolkata"
    day = f"{at:%Y-%m-%d}"
    text = client.get(reverse("console-audit"), {"since": day, "until": day}).content.decode()
    assert f"{at:%Y-%m-%d %H:%M:%S} IST" in text


def test_the_ticks_of_a_day_are_midnights_where_the_reader_is():
    first = datetime(2026, 7, 1, tzinfo=UTC).timestamp()
    with timezone.override(ZoneInfo("Asia/Kolkata")):
        step, times = tick_times(first, first + 6 * 86_400)
        assert step == 86_400
        local = {timezone.localtime(datetime.fromtimestamp(at, UTC)).hour for at in times}
        assert local == {0}
        assert tick_text(times[0], step, 6 * 86_400) == "02 Jul"


def test_the_page_of_signing_in_carries_the_script():
    assert "console/reader.js" in Client().get(reverse("admin:login")).content.decode()


def test_every_time_of_every_page_names_a_zone(olga):
    """Whatever looks like a clock on a page is followed by a zone, or stands in a tooltip."""
    request = held(goal(created_by="olga"))
    client = console(olga)
    client.cookies[reading.ZONE] = "Europe/Berlin"
    goal_page = reverse(f"{ADMIN}goal_change", args=[request.goal_id])
    urls = [reverse("admin:index"), reverse("console-notices"), reverse(f"{ADMIN}task_changelist")]
    urls += [f"{goal_page}?tab={tab}" for tab in ("tasks", "log", "ledger", "plan", "decisions")]
    urls += [reverse(f"{ADMIN}approvalrequest_change", args=[request.pk])]
    urls += [reverse(f"{ADMIN}proposal_change", args=[request.proposal_id])]
    urls += [reverse(f"{ADMIN}attempt_change", args=[request.attempt_id])]
    for url in urls:
        text = re.sub(
            r"<pre.*?</pre>|<[^>]+>", " ", client.get(url).content.decode(), flags=re.DOTALL
        )
        bare = re.findall(r"\d{1,2}:\d{2}(?::\d{2})?(?![\d:])(?! CES?T| UTC).{0,20}", text)
        assert bare == [], url
