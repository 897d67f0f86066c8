"""`memory export|import`: a namespace as a file, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from agentsys.kernel.errors import BadInput
from memory import services
from memory.cli.verbs import Options, Speech, Verbs


def register(verbs: Verbs) -> None:
    export = verbs.add("export", "a namespace as lines of JSON", do_export)
    export.add_argument("--namespace", required=True, help="such as project-1")
    export.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    taken = verbs.add("import", "add the memories of an exported file", do_import)
    taken.add_argument("file", type=Path)
    taken.add_argument("--namespace", required=True, help="where they go")
    taken.add_argument(
        "--trust", action="store_true", help="vouch for the trust and the pins that the file states"
    )
    taken.add_argument("--dry-run", action="store_true", help="check it; nothing is written")


def do_export(say: Speech, options: Options) -> None:
    out: Path | None = options["out"]
    if out is None:
        found = services.memories_export(options["namespace"], say.command.stdout.write)
        say.note(f"{found.memories} memories, content {found.content}")
        return
    partial = out.with_name(f"{out.name}.partial")
    try:
        partial.touch(mode=0o600)  # memories may be secret: readable by their owner alone
        with partial.open("w", encoding="utf-8") as file:
            found = services.memories_export(options["namespace"], file.write)
        partial.replace(out)
    except OSError as error:
        raise BadInput(what="--out", problems=[f"{out} cannot be written: {error}"]) from error
    finally:
        partial.unlink(missing_ok=True)
    say.answer(asdict(found), f"{found.memories} memories of {found.namespace} are in {out}")


def do_import(say: Speech, options: Options) -> None:
    report = services.memories_import(
        options["file"],
        options["namespace"],
        trusted=options["trust"],
        dry_run=options["dry_run"],
        tell=say.note,
    )
    verb = "would be added" if report.dry_run else "were added"
    text = (
        f"{report.added} of {report.memories} memories {verb} to {report.namespace} as"
        f" {report.batch}; {report.said_already} it says already,"
        f" {report.imported_before} came with this file before"
    )
    say.answer(asdict(report), text)
    if report.waiting:
        say.note(
            f"{report.waiting} of these wait in quarantine and are not found: `memory quarantine list"
            f" --namespace {report.namespace}`, then `release`"
        )
    if report.lowered:
        say.note(f"{report.lowered} are unverified here; --trust takes the file's word")
