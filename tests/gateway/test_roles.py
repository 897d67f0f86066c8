"""Model profiles: rows say which models serve a role; the admin takes no row that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from agentsys import gateway
from agentsys.gateway import breakers, roles
from agentsys.gateway.models import Profile
from agentsys.gateway.roles import chain_needed, profile_needed, unasked
from agentsys.gateway.scripted import Say, scripted
from workers.models import AgentProfile
from workers.profiles import profile_save

ASK = [{"role": "user", "content": "how many?"}]


def add(role: str, model: str, **fields: Any) -> Profile:
    row = Profile(role=role, model=model, **fields)
    row.full_clean()
    row.save()
    roles.forget()
    return row


def test_a_row_serves_its_role_and_the_setting_serves_all_others(use: Any) -> None:
    use("ollama:default")
    add("planner", "openai:big", temperature=0.5, max_tokens=50, requests_per_minute=9)
    planner = profile_needed("planner")
    assert (planner.model, planner.temperature, planner.max_tokens) == ("big", 0.5, 50)
    assert planner.requests_per_minute == 9
    assert profile_needed("model").model == "default"


def test_fallbacks_are_asked_for_in_their_order(use: Any) -> None:
    use("")
    add("planner", "openai:a", fallbacks="ollama:b?temperature=0\n\n anthropic:c \n")
    assert [str(p) for p in chain_needed("planner")] == ["openai:a", "ollama:b", "anthropic:c"]


def test_a_row_that_is_switched_off_serves_nobody(use: Any) -> None:
    use("")
    add("planner", "openai:a", enabled=False)
    assert gateway.profile_for("planner") is None


def test_prices_of_a_row_are_what_a_call_costs(use: Any) -> None:
    use("")
    add("planner", "openai:gpt-5", input_price=1.0, output_price=2.0, cached_price=0.1)
    assert profile_needed("planner").cost_usd(1_000_000, 1_000_000, 500_000) == pytest.approx(2.55)


def test_a_call_costs_no_query_of_its_own(use: Any, django_assert_num_queries: Any) -> None:
    use("")
    scripted("rows", ["one", "two", "three"])
    add("planner", "scripted:rows")
    gateway.chat(ASK, role="planner")
    with django_assert_num_queries(0):
        gateway.chat(ASK, role="planner")
        gateway.chat(ASK, role="planner")


def test_cached_and_reasoning_tokens_are_counted_apart(use: Any) -> None:
    scripted("parts", [Say("x", tokens=(100, 50), cached=40, reasoning=30)])
    use("scripted:parts")
    said = gateway.chat(ASK, role="planner")
    assert (said.input_tokens, said.cached_tokens) == (100, 40)
    assert (said.output_tokens, said.reasoning_tokens) == (50, 30)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "martian:x"}, "model"),
        ({"model": "openai:"}, "model"),
        ({"fallbacks": "openai:a\nnonsense"}, "fallbacks"),
        ({"fallbacks": "\n".join(f"openai:m{n}" for n in range(9))}, "fallbacks"),
        ({"base_url": "file:///etc/passwd"}, "base_url"),
        ({"key_env": "sk-a-key-itself"}, "key_env"),
        ({"role": "Not A Role"}, "role"),
        ({"temperature": -1.0}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_the_field(
    fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Profile(**{"role": "planner", "model": "openai:m", **fields}).full_clean()
    assert list(caught.value.message_dict) == [field]
    assert not Profile.objects.exists()


def test_the_database_refuses_limits_of_nothing() -> None:
    with pytest.raises(IntegrityError):
        Profile.objects.create(role="planner", model="openai:m", concurrency=0)


# --- In the console ------------------------------------------------------------------------------


def signed_in(client: Client, *, superuser: bool) -> Client:
    user = User.objects.create_user("amy", is_staff=True, is_superuser=superuser)
    client.force_login(user)
    return client


def form(**fields: Any) -> dict[str, Any]:
    return {"role": "planner", "model": "openai:m", "enabled": "on", **fields}


def test_a_superuser_adds_a_profile_and_it_serves_at_once(client: Client, use: Any) -> None:
    use("", breaker_outages=1)
    assert gateway.profile_for("planner") is None
    page = signed_in(client, superuser=True)
    url = reverse("admin:agentsys_gateway_profile_add")
    assert page.post(url, form(fallbacks="ollama:b", max_tokens="9")).status_code == 302
    assert [str(p) for p in chain_needed("planner")] == ["openai:m", "ollama:b"]
    listed = page.get(reverse("admin:agentsys_gateway_profile_changelist"))
    assert b"openai:m" in listed.content
    breakers.failed("ollama")
    assert (
        b"open: 1 outages" in page.get(reverse("admin:agentsys_gateway_profile_changelist")).content
    )


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("codr", b"did you mean `coder`? Roles are"),
        ("fast", b"nobody asks models in the role `fast`: Roles are"),
        ("coder", b""),
        ("swarm", b""),
        ("reflection", b""),
        ("verifier", b""),
    ],
)
def test_a_role_in_which_nobody_asks_is_kept_and_said_with_those_that_there_are(
    client: Client, use: Any, role: str, says: bytes
) -> None:
    """A plan's swarm may name any role, so that a strange one is no mistake for sure."""
    use("")
    page = signed_in(client, superuser=True)
    url = reverse("admin:agentsys_gateway_profile_add")
    assert b"One of coder, devops, documenter," in page.get(url).content
    listed = page.post(url, form(role=role), follow=True).content
    assert (b"nobody asks models" in listed) == bool(says)
    assert listed.count(says) >= (2 if says else 0)  # when it is saved, and in the list
    assert [str(p) for p in chain_needed(role)] == ["openai:m"]


def test_a_role_that_an_agent_of_the_console_names_is_one_that_asks() -> None:
    assert "nobody asks" in unasked("clever")
    profile = AgentProfile(name="poet", description="d", prompt="p", model="clever")
    profile_save(profile, by="amy")
    assert (unasked("clever"), unasked("poet")) == ("", "")


def test_a_wrong_profile_is_shown_with_what_would_do_and_not_kept(client: Client) -> None:
    page = signed_in(client, superuser=True)
    url = reverse("admin:agentsys_gateway_profile_add")
    answer = page.post(url, form(model="martian:x"))
    assert b"expected PROVIDER:NAME" in answer.content
    assert not Profile.objects.exists()


def test_nobody_else_sees_or_changes_where_prompts_are_sent(client: Client) -> None:
    page = signed_in(client, superuser=False)
    for name in ("changelist", "add"):
        url = reverse(f"admin:agentsys_gateway_profile_{name}")
        assert page.get(url).status_code == 403
        assert page.post(url, form()).status_code == 403
    assert not Profile.objects.exists()
