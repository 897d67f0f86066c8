"""`token create|list|revoke`: API tokens. Only a hash is kept; a token is shown once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from knox.models import AuthToken

from agentsys.kernel.errors import ExitCode
from agentsys.kernel.wording import utc


class Command(BaseCommand):
    help = "Make, list and revoke API tokens; use one as `Authorization: Token …`."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token and print it, once")
        create.add_argument("--user", required=True)
        create.add_argument("--ttl", type=float, metavar="DAYS", help="default: does not expire")
        listing = verbs.add_parser("list", help="whose tokens there are")
        listing.add_argument("--user")
        revoke = verbs.add_parser("revoke", help="make a token worthless")
        revoke.add_argument("key", help="the first characters of the token, as `token list` shows")
        for verb in (create, listing, revoke):
            verb.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        verbs = {"create": self._create, "list": self._list, "revoke": self._revoke}
        verbs[options["verb"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        ttl = options["ttl"]
        if ttl is not None and ttl <= 0:
            raise CommandError(
                f"--ttl is {ttl}; expected a number of days above 0", returncode=ExitCode.USAGE
            )
        user = self._user(options["user"])
        row, token = AuthToken.objects.create(user, timedelta(days=ttl) if ttl else None)
        facts = {**_facts(row), "token": token}
        self._say(options, facts, token)
        if not options["json"]:
            until = f"until {utc(row.expiry)}" if row.expiry else "until it is revoked"
            self.stderr.write(f"for {user.get_username()}, {until}; it is not shown again")

    def _list(self, options: dict[str, Any]) -> None:
        rows = AuthToken.objects.select_related("user").order_by("created")
        if options["user"]:
            rows = rows.filter(user=self._user(options["user"]))
        facts = [_facts(row) for row in rows]
        lines = [f"{f['key']}  {f['user']}  {_until(f)}" for f in facts]
        self._say(options, {"tokens": facts}, "\n".join(lines) or "no tokens")

    def _revoke(self, options: dict[str, Any]) -> None:
        rows = AuthToken.objects.filter(token_key__startswith=options["key"])
        found = rows.count() if options["key"] else 0
        if found != 1:
            wrong = "no token begins" if found == 0 else f"{found} tokens begin"
            raise CommandError(
                f"{wrong} with {options['key']!r}; `token list` shows them",
                returncode=ExitCode.NOT_FOUND,
            )
        rows.delete()
        self._say(options, {"revoked": options["key"]}, f"revoked {options['key']}")

    def _user(self, name: str) -> Any:
        model = get_user_model()
        try:
            return model.objects.get_by_natural_key(name)
        except model.DoesNotExist:
            raise CommandError(
                f"no user {name!r}; `createsuperuser` makes one", returncode=ExitCode.NOT_FOUND
            ) from None

    def _say(self, options: dict[str, Any], facts: dict[str, Any], text: str) -> None:
        self.stdout.write(json.dumps(facts) if options["json"] else text)


def _facts(row: Any) -> dict[str, Any]:
    return {
        "key": row.token_key,
        "user": row.user.get_username(),
        "created_at": row.created.isoformat(),
        "expires_at": row.expiry.isoformat() if row.expiry else None,
    }


def _until(facts: dict[str, Any]) -> str:
    return f"until {utc(facts['expires_at'])}" if facts["expires_at"] else "no expiry"
