"""Draws keys in the forms that their issuers gave them, checksums included. None was ever issued.

Forms are those of the issuers' documentation and of the rules of public scanners; checksums: GitHub
and npm end with the CRC32 of the rest in base 62, Grafana with it in hexadecimal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
import uuid
import zlib
from collections.abc import Callable, Mapping
from random import Random

ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"
BASE32 = string.ascii_uppercase + "234567"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
PUNCTUATED = ALNUM + "!#%^&*-_+=.,~"
Draw = Callable[[Random], str]


def some(alphabet: str, length: int, random: Random) -> str:
    return "".join(random.choices(alphabet, k=length))


def form(*parts: str | tuple[str, int]) -> Draw:
    """Literal texts and (alphabet, length) in a row."""

    def draw(random: Random) -> str:
        return "".join(part if isinstance(part, str) else some(*part, random) for part in parts)

    return draw


def checked(prefix: str) -> Draw:
    """30 letters and the CRC32 of them in base 62, as GitHub and npm end their tokens."""

    def draw(random: Random) -> str:
        body = some(ALNUM, 30, random)
        return f"{prefix}{body}{_base62(zlib.crc32(body.encode()))}"

    return draw


def _base62(value: int) -> str:
    text = ""
    while value:
        value, rest = divmod(value, 62)
        text = BASE62[rest] + text
    return text.rjust(6, "0")


def grafana(random: Random) -> str:
    body = f"glsa_{some(ALNUM, 32, random)}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def pypi(random: Random) -> str:
    """A macaroon: version, location, identifier, signature."""
    identifier = json.dumps({"version": 1, "permissions": "user"}).encode()
    body = b"\x02\x01\x08pypi.org" + bytes([2, len(identifier)]) + identifier
    return "pypi-" + _b64url(body + b"\x00\x00\x06 " + random.randbytes(32))


def jwt(random: Random) -> str:
    head = _b64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = {"sub": str(random.randrange(10**9)), "iat": 1_700_000_000 + random.randrange(10**7)}
    body = f"{head}.{_b64url(json.dumps(claims).encode())}"
    signature = hmac.new(random.randbytes(32), body.encode(), hashlib.sha256).digest()
    return f"{body}.{_b64url(signature)}"


def discord(random: Random) -> str:
    user = base64.b64encode(str(random.randrange(10**17, 10**18)).encode()).decode().rstrip("=")
    return f"{user}.{some(URLSAFE, 6, random)}.{some(URLSAFE, 38, random)}"


def telegram(random: Random) -> str:
    return f"{random.randrange(10**8, 10**10)}:AA{some(URLSAFE, 33, random)}"


def azure_storage(random: Random) -> str:
    return base64.b64encode(random.randbytes(64)).decode()


def aws_secret(random: Random) -> str:
    return base64.b64encode(random.randbytes(30)).decode()


def pem(kind: str, size: int) -> Draw:
    def draw(random: Random) -> str:
        body = base64.b64encode(random.randbytes(size)).decode()
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"

    return draw


def uuid4(random: Random) -> str:
    return str(uuid.UUID(bytes=random.randbytes(16), version=4))


def password(random: Random) -> str:
    """Twelve to twenty signs of three kinds."""
    return some(ALNUM, 3, random) + some(PUNCTUATED, random.randrange(9, 17), random) + "7q"


def _b64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


# Kinds whose form alone tells what they are.
FORMED: Mapping[str, Draw] = {
    "AWS access key": form("AKIA", (BASE32, 16)),
    "AWS temporary key": form("ASIA", (BASE32, 16)),
    "GitHub personal token": checked("ghp_"),
    "GitHub OAuth token": checked("gho_"),
    "GitHub app token": checked("ghs_"),
    "GitHub fine-grained token": form("github_pat_", (ALNUM, 22), "_", (ALNUM, 59)),
    "GitLab token": form("glpat-", (URLSAFE, 20)),
    "GitLab deploy token": form("gldt-", (URLSAFE, 20)),
    "GitLab runner token": form("glrt-", (URLSAFE, 20)),
    "Slack bot token": form(
        "xoxb-", (string.digits, 12), "-", (string.digits, 13), "-", (ALNUM, 24)
    ),
    "Slack app token": form("xapp-1-A", (UPPER, 10), "-", (string.digits, 13), "-", (HEX, 64)),
    "Slack webhook": form(
        "https://hooks.slack.com/services/T", (UPPER, 10), "/B", (UPPER, 10), "/", (ALNUM, 24)
    ),
    "Anthropic key": form("sk-ant-api03-", (URLSAFE, 93), "AA"),
    "OpenAI key": form("sk-", (ALNUM, 20), "T3BlbkFJ", (ALNUM, 20)),
    "OpenAI project key": form("sk-proj-", (URLSAFE, 74), "T3BlbkFJ", (URLSAFE, 74)),
    "OpenRouter key": form("sk-or-v1-", (HEX, 64)),
    "Google API key": form("AIzaSy", (URLSAFE, 33)),
    "Google OAuth secret": form("GOCSPX-", (URLSAFE, 28)),
    "Stripe key": form("sk_live_", (ALNUM, 24)),
    "Stripe restricted key": form("rk_live_", (ALNUM, 99)),
    "Stripe webhook secret": form("whsec_", (ALNUM, 32)),
    "npm token": checked("npm_"),
    "PyPI token": pypi,
    "RubyGems key": form("rubygems_", (HEX, 48)),
    "Hugging Face token": form("hf_", (string.ascii_letters, 34)),
    "Replicate token": form("r8_", (ALNUM, 37)),
    "Groq key": form("gsk_", (ALNUM, 52)),
    "Perplexity key": form("pplx-", (ALNUM, 48)),
    "LangSmith key": form("lsv2_pt_", (HEX, 32), "_", (HEX, 10)),
    "SendGrid key": form("SG.", (URLSAFE, 22), ".", (URLSAFE, 43)),
    "Mailchimp key": form((HEX, 32), "-us", (string.digits, 2)),
    "Brevo key": form("xkeysib-", (HEX, 64), "-", (ALNUM, 16)),
    "Twilio key": form("SK", (HEX, 32)),
    "Telegram bot token": telegram,
    "Discord bot token": discord,
    "DigitalOcean token": form("dop_v1_", (HEX, 64)),
    "Databricks token": form("dapi", (HEX, 32)),
    "Heroku key": form("HRKU-AA", (URLSAFE, 58)),
    "Azure AD client secret": form((ALNUM, 3), "8Q~", (ALNUM + "_~.-", 33), "a"),
    "Shopify token": form("shpat_", (HEX, 32)),
    "Square token": form("sq0csp-", (URLSAFE, 43)),
    "Postman key": form("PMAK-", (HEX, 24), "-", (HEX, 34)),
    "Linear key": form("lin_api_", (ALNUM, 40)),
    "Notion token": form("ntn_", (string.digits, 11), (ALNUM, 35)),
    "Vault token": form("hvs.", (URLSAFE, 95)),
    "Terraform token": form((ALNUM, 14), ".atlasv1.", (URLSAFE, 67)),
    "Grafana token": grafana,
    "Docker Hub token": form("dckr_pat_", (URLSAFE, 27)),
    "Sentry token": form("sntryu_", (HEX, 64)),
    "New Relic key": form("NRAK-", (UPPER, 27)),
    "Pulumi token": form("pul-", (HEX, 40)),
    "Doppler token": form("dp.pt.", (ALNUM, 43)),
    "age key": form("AGE-SECRET-KEY-1", (BECH32, 58)),
    "Atlassian token": form("ATATT3xFfGF0", (URLSAFE, 163), "=", (UPPER, 8)),
    "Figma token": form("figd_", (URLSAFE, 40)),
    "Airtable token": form("pat", (ALNUM, 14), ".", (HEX, 64)),
    "PlanetScale token": form("pscale_tkn_", (URLSAFE, 43)),
    "Tailscale key": form("tskey-auth-", (ALNUM, 17), "-", (ALNUM, 33)),
    "Dynatrace token": form("dt0c01.", (BASE32, 24), ".", (BASE32, 64)),
    "Supabase token": form("sbp_", (HEX, 40)),
    "1Password key": form(
        "A3-",
        (UPPER, 6),
        "-",
        (UPPER, 6),
        "-",
        (UPPER, 5),
        "-",
        (UPPER, 5),
        "-",
        (UPPER, 5),
        "-",
        (UPPER, 5),
    ),
    "JSON web token": jwt,
    "RSA key": pem("RSA ", 600),
    "EC key": pem("EC ", 121),
    "OpenSSH key": pem("OPENSSH ", 270),
    "PKCS #8 key": pem("", 600),
}
# Kinds that only the name before them tells: a name and a form.
NAMED: Mapping[str, tuple[str, Draw]] = {
    "AWS secret key": ("aws_secret_access_key", aws_secret),
    "Azure storage key": ("storage_account_key", azure_storage),
    "Cloudflare token": ("cloudflare_api_token", form((URLSAFE, 40))),
    "Datadog key": ("dd_api_key", form((HEX, 32))),
    "Heroku legacy key": ("heroku_api_key", uuid4),
    "Twilio auth token": ("twilio_auth_token", form((HEX, 32))),
    "Django secret key": ("SECRET_KEY", form((LOWER + "!@#$%^&*(-_=+)", 50))),
    "OAuth client secret": ("client_secret", form((URLSAFE, 40))),
    "database password": ("db_password", password),
    "passphrase": ("passphrase", password),
}
