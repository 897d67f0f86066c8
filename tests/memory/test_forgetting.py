"""Forgetting a subject leaves nothing of it in memory, and says so with figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from agentsys.kernel.errors import BadInput, NoSuchName
from memory import services as memory
from memory.models import Chunk, Fact, Memory
from memory.versions import bury

pytestmark = pytest.mark.django_db
HERE = "project-1"
AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def rows() -> list[int]:
    said = [
        ("ann", "Greta Weiss moved the pump order 12 to Basel", {}),
        ("Greta Weiss", "I will call the plant on Friday about order 13", {}),
        ("ann", "The valve order 14 stays in Zurich with Keller", {}),
        ("bo", "Grass and weissbier have nothing to do with it in July", {}),
        ("bo", "The plant answered about order 15", {"source": "mail of Greta Weiss"}),
    ]
    return memory.remember_many(
        [
            memory.MemoryDraft(
                HERE, "episodic", text, actor=actor, session="call", provenance=facts,
                occurred_at=AT + timedelta(minutes=n), recorded_at=AT,
            )
            for n, (actor, text, facts) in enumerate(said)
        ]
    )  # fmt: skip


def everything() -> str:
    """All that the tables of memory hold, as text."""
    tables = ("memory", "fact", "link", "memoryevent", "seen")
    with connection.cursor() as cursor:
        found = []
        for table in tables:
            cursor.execute(f"SELECT jsonb_agg(to_jsonb(m)) FROM agentsys_memory_{table} AS m")
            found.append(cursor.fetchone()[0])
    return str(found)


def forget(name: str = "greta  weiss", by: str = "ann", **more: bool) -> memory.Forgotten:
    return memory.forget_subject(HERE, name, by=by, reason="Greta Weiss asked", **more)


def remembered(text: str, **more: Any) -> int:
    return memory.remember(HERE, "semantic", text, **more)


def test_text_actor_source_chunks_and_hash_of_a_subject_go(rows: list[int]) -> None:
    memory.pin(rows[0])
    proof = forget()
    assert set(proof.memories) == {rows[0], rows[1], rows[4]}
    assert (proof.left, proof.found, proof.chunks) == (0, (), 3)
    assert "reta" not in everything()
    stones = Memory.objects.filter(pk__in=proof.memories)
    assert {(s.state, s.text, s.text_hash[:9]) for s in stones} == {("gone", "", "forgotten")}
    assert not Chunk.objects.filter(memory_id__in=proof.memories).exists()
    assert memory.recall(HERE, "valve order Zurich")[0].id == rows[2]


def test_facts_and_links_that_name_it_go_with_it() -> None:
    for day, city in enumerate(("Basel", "Zurich")):
        text = f"The office of Greta Weiss is in {city}"
        at = AT + timedelta(days=day)
        memory.remember(HERE, "semantic", text, actor="ann", trust="verified", occurred_at=at)
    row = memory.remember(HERE, "semantic", "The office of Keller is in Bern", actor="ann")
    Fact.objects.create(
        namespace=HERE, subject="keller", attribute="wife", value="Greta Weiss", valid_from=AT,
        evidence_id=row,
    )  # fmt: skip
    proof = forget()
    assert proof.facts >= 1
    assert "reta" not in everything()
    assert Memory.objects.get(pk=row).state == "live"


def test_digests_lose_the_lines_that_quote_it_and_keep_the_others(rows: list[int]) -> None:
    memory.consolidate(HERE, until=AT + timedelta(days=40))
    proof = forget()
    digests = Memory.objects.filter(level__gt=0)
    assert set(proof.digests) == set(digests.values_list("pk", flat=True))
    assert not any("reta" in d.text or "order 13" in d.text for d in digests)
    assert any(f"[memory-{rows[2]}]" in d.text for d in digests)
    assert "reta" not in everything()
    assert memory.consolidate(HERE, until=AT + timedelta(days=40)).written == ()


def test_a_session_that_is_named_after_it_is_renamed_in_digests() -> None:
    memory.remember(
        HERE, "episodic", "Nothing much was said about pumps", session="with Greta Weiss"
    )
    Memory.objects.update(occurred_at=AT)
    memory.consolidate(HERE, until=AT + timedelta(days=1))
    assert forget().left == 0
    assert "reta" not in everything()


def test_a_digest_loses_the_line_of_one_memory_that_is_forgotten_and_keeps_what_is_pruned(
    rows: list[int],
) -> None:
    memory.consolidate(HERE, until=AT + timedelta(days=40))
    memory.forget(rows[2], "ann", "asked")
    bury([rows[0]], by="prune", reason="over budget")
    digests = Memory.objects.filter(level__gt=0)
    assert not any("Keller" in d.text or str(rows[2]) in d.provenance["quotes"] for d in digests)
    assert any("Basel" in d.text for d in digests)


def test_a_text_that_a_model_wrote_is_put_back_to_its_quotes(rows: list[int]) -> None:
    memory.consolidate(HERE, until=AT + timedelta(days=1))
    (one,) = Memory.objects.filter(level=1)
    one.provenance |= {"extract": one.text, "method": "some:model"}
    one.text = "Session: orders were moved by a woman from Bern [memory-1]"
    one.save()
    forget()
    one.refresh_from_db()
    assert "Bern" not in one.text
    assert one.provenance["method"] == "extractive"


def test_a_dry_run_says_what_would_go_and_changes_nothing(rows: list[int]) -> None:
    before = everything()
    proof = forget(dry_run=True)
    assert (len(proof.memories), proof.dry_run) == (3, True)
    assert (proof.left, proof.left_in, proof.found) == (None, None, None)
    assert everything() == before


def test_the_proof_states_the_window_of_backups_and_what_memory_cannot_change(
    rows: list[int],
) -> None:
    book = memory.playbook_save("care", {"steps": ["ask Greta Weiss"]})
    proof = forget()
    assert proof.backups_until - proof.at == timedelta(days=30)
    assert proof.playbooks == (book.id,)
    assert "ledger" in proof.elsewhere


def test_other_namespaces_and_parts_of_words_are_left_alone(rows: list[int]) -> None:
    there = memory.remember("project-2", "semantic", "Greta Weiss likes tea")
    assert forget("Gret").memories == ()
    forget()
    assert Memory.objects.get(pk=there).text == "Greta Weiss likes tea"
    assert Memory.objects.get(pk=rows[3]).state == "live"


@pytest.mark.parametrize("name", ["", " ", "x", "..", "(("])
def test_a_name_that_is_none_is_refused(rows: list[int], name: str) -> None:
    with pytest.raises(BadInput):
        forget(name)
    assert not Memory.objects.filter(state="gone").exists()


def test_signs_in_a_name_are_taken_as_they_are(rows: list[int]) -> None:
    odd = memory.remember(HERE, "semantic", "C++ (old) and a.b were used by nobody")
    assert forget("a.c").memories == ()
    assert forget("C++ (old)").memories == (odd,)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("José García", "Jose\u0301 Garci\u0301a wants the pump"),
        ("Jose\u0301 Garci\u0301a", "José García wants the pump"),
        ("王小明", "我昨天和王小明一起去了上海"),
        ("김민수", "어제 김민수는 서울에 갔다"),
        ("Ann Lee", "We met Ann\u00a0Lee in Basel"),
        ("Ann Lee", "We met Ann\nLee in Basel"),
        ("O'Brien", "The call with O’Brien was short"),
        ("O’Brien", "The call with O'Brien was short"),
        ("Smith-Jones", "The order of Smith\u2011Jones was late"),
        ("Ann", "Write to ann_smith@example.org about the pump"),
        ("Straße", "Die Lieferung an STRASSE ist da"),
        ("STRASSE", "Die Lieferung an Straße ist da"),
        ("Ann", "我见了Ann今天"),
        ("Ann Lee", "Ａｎｎ Ｌｅｅ came at nine"),
        ("Ann Lee", "A\u00adnn L\u200dee came at nine"),
        ("Ann", 'The tool gave {"out": "hello\\nAnn came"}'),
        ("José", 'The tool gave {"who": "Jos\\u00e9 came"}'),
        ("राम", "कल राम घर गया और पंप लाया"),
    ],
)
def test_a_name_is_found_however_it_is_spelled(name: str, text: str) -> None:
    row, other = remembered(text), remembered("The valve stays in Zurich")
    proof = forget(name, by="cleo")
    assert (proof.memories, proof.left, proof.found) == ((row,), 0, ())
    assert Memory.objects.get(pk=row).text == ""
    assert Memory.objects.get(pk=other).state == "live"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("Ann", {"note": "hello\nAnn came"}),
        ("Ann Lee", {"note": "from Ann\nLee"}),
        ('Ann "Bo" Lee', {"note": 'by Ann "Bo" Lee, who wrote'}),
        ("Ann Lee", {"deep": [{"Ann Lee": 1}]}),
        ("José", {"note": "by Jose\u0301"}),
    ],
)
def test_provenance_is_read_as_what_it_says_not_as_it_is_written(
    name: str, facts: dict[str, Any]
) -> None:
    row = remembered("The plant answered about order 15", provenance=facts)
    proof = forget(name, by="cleo")
    assert (proof.memories, proof.left) == ((row,), 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Jose Garcia", "José García wants the pump"),
        ("Ann Lee", "Ask annlee about it, or AnnLee7"),
        ("Smith-Jones", "The order of Smith Jones was late"),
        ("J. R. Ewing", "The oil of J.R. Ewing was late"),
        ("Anna", "Das ist Annas Pumpe aus Basel"),
        ("Søren", "The pump of Soren came to Basel"),
        ("Ann Lee", "Ann\u200bLee came to Basel"),
    ],
)
def test_what_may_be_another_spelling_is_left_and_shown_for_a_person_to_look_at(
    name: str, text: str
) -> None:
    row = remembered(text)
    proof = forget(name, by="cleo")
    assert (proof.memories, proof.left, proof.left_in) == ((), 1, (f"memory-{row}",))
    assert Memory.objects.get(pk=row).text == text


def test_parts_of_words_of_scripts_with_vowel_signs_are_left_alone() -> None:
    remembered("कल रामा घर गया और पंप लाया")
    assert forget("राम", by="cleo").memories == ()


def test_the_proof_looks_where_removal_does_not() -> None:
    row = remembered("The plant answered about order 15", kind="of Ann Lee")
    memory.pin(row, by="Ann Lee")
    proof = forget("Ann Lee", by="cleo")
    kinds = [name.split("-")[0] for name in proof.left_in or ()]
    assert (proof.memories, kinds) == ((), ["memory", "event"])


def test_a_batch_of_the_name_does_not_live_on_in_the_history_of_its_removal() -> None:
    row = remembered("The plant answered about order 15", batch="import of Ann Lee")
    proof = forget("Ann Lee", by="cleo")
    assert (proof.memories, proof.left) == ((row,), 0)


def test_who_forgets_somebody_of_the_same_name_leaves_no_trace_of_it(rows: list[int]) -> None:
    proof = forget("Ann", by="ann")
    assert (set(proof.memories), proof.left) == ({rows[0], rows[2]}, 0)
    stones = Memory.objects.filter(pk__in=proof.memories)
    assert {stone.provenance["forgotten_by"] for stone in stones} == {"the subject"}


def test_who_forgets_and_only_has_the_letters_of_the_name_is_named(rows: list[int]) -> None:
    proof = forget("Greta Weiss", by="margreta weissmann")
    assert (len(proof.memories), proof.left) == (3, 0)
    assert "margreta weissmann" in everything()


def test_a_tombstone_of_an_earlier_day_loses_the_name(rows: list[int]) -> None:
    memory.forget(rows[3], "bo", "Greta Weiss asked for it")
    proof = forget()
    assert rows[3] in proof.memories
    reason = Memory.objects.get(pk=rows[3]).provenance["reason"]
    assert reason == "the subject asked for it"
    # History is only ever appended to: it is shown, and not passed over.
    assert [name.split("-")[0] for name in proof.left_in or ()] == ["event"]


def test_a_namespace_that_holds_nothing_is_no_proof(rows: list[int]) -> None:
    with pytest.raises(NoSuchName, match=r"projct-1.*project-1"):
        memory.forget_subject("projct-1", "Greta Weiss", by="ann", reason="asked")


def test_an_everyday_word_is_refused_until_it_is_meant() -> None:
    row = remembered("The pump order of Will went to Basel")
    with pytest.raises(BadInput, match=r"everyday word, and names 1 of the 1 .*--yes-all"):
        forget("will")
    assert forget("will", dry_run=True).memories == (row,)
    assert Memory.objects.get(pk=row).state == "live"
    assert forget("will", yes_all=True).memories == (row,)


def test_a_name_that_is_in_more_than_a_tenth_of_the_rows_is_refused_until_it_is_meant() -> None:
    for n in range(10):
        remembered(f"The pump number {n} went to Basel")
    remembered("Keller wrote from Zurich")
    assert len(forget("pump", dry_run=True).memories) == 10
    last = remembered("A pump is a machine")
    with pytest.raises(BadInput, match=r"`pump` names 11 of the 12 live memories of project-1"):
        forget("pump")
    assert Memory.objects.get(pk=last).state == "live"
    assert len(forget("pump", yes_all=True).memories) == 11


def test_ten_rows_are_somebody_however_small_the_namespace() -> None:
    for n in range(10):
        remembered(f"Keller moved the pump number {n} to Basel")
    assert len(forget("Keller").memories) == 10


def test_a_digest_that_is_called_by_the_name_alone_gets_its_day_for_a_name(rows: list[int]) -> None:
    memory.consolidate(HERE, until=AT + timedelta(days=1))
    one = Memory.objects.get(level=1)
    one.provenance |= {"of": "Greta Weiss", "by": {"Greta Weiss": 1}}
    one.save()
    assert forget().left == 0
    one.refresh_from_db()
    assert (one.provenance["of"][:10], one.text[:10]) == ("2026-01-05", "2026-01-05")


def test_a_digest_whose_sources_are_not_known_goes_as_a_whole(rows: list[int]) -> None:
    memory.consolidate(HERE, until=AT + timedelta(days=1))
    (one,) = Memory.objects.filter(level=1)
    Memory.objects.filter(pk=one.pk).update(provenance={"source": "import-1: a digest"})
    proof = forget()
    assert one.pk in proof.memories
    assert one.pk not in proof.digests
    assert proof.left == 0
    assert Memory.objects.get(pk=one.pk).text == ""


def test_the_command_claims_nothing_when_it_is_dry_and_asks_to_look_at_what_is_left() -> None:
    row = remembered("Keller wrote from Zurich and Kellers sold the pump")
    other = remembered("Kellermann stays in Basel for the valve")
    words = ("forget", "--subject", "Keller", "--namespace", HERE, "--reason", "asked")
    assert not {"left", "left_in", "found"} & _said(*words, "--dry-run").keys()
    told = _said(*words, "--yes-all")
    assert (told["memories"], told["left"]) == (str(row), "1")
    assert f"memory-{other}" in told["left_in"]
    assert "look at each" in told["note"]


def _said(*words: str) -> dict[str, str]:
    """The figures that the command shows, and its note."""
    out, note = StringIO(), StringIO()
    call_command("memory", *words, stdout=out, stderr=note)
    lines = (line.split(maxsplit=1) for line in out.getvalue().splitlines())
    return {
        "note": note.getvalue(),
        **{line[0]: line[1].strip() for line in lines if len(line) == 2},
    }
