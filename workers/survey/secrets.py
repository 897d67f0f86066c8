"""Places that look like secrets, by detect-secrets. The secret itself is never shown or kept."""

from __future__ import annotations

from workers.survey.findings import Checkout, Finding, Survey, broken, missing, parsed


def survey(checkout: Checkout) -> Survey:
    if (absent := missing("secrets", "detect_secrets")) is not None:
        return absent
    if not checkout.files:
        return Survey("secrets", "not_applicable", summary="there are no files")
    result = checkout.tool("detect_secrets", "scan", "--all-files", "--no-verify", ".")
    document = parsed(result.stdout)
    if result.exit_code != 0 or not isinstance(document, dict):
        return broken("secrets", result)
    tracked = set(checkout.files)
    found = tuple(
        Finding(
            path=path.removeprefix("./"),
            line=row["line_number"],
            code=row["type"].lower().replace(" ", "-"),
            message=f"looks like: {row['type']} (hash {row['hashed_secret'][:12]})",
            severity="error",
        )
        for path, rows in sorted(document["results"].items())
        if path.removeprefix("./") in tracked
        for row in rows
    )
    return Survey("secrets", findings=found, summary=f"{len(found)} places look like secrets")
