"""The forms of credentials, as their issuers document them.

Each: kind, texts of which one must occur (searching for them is nearly free), form. JWT: RFC 7519;
PEM: RFC 7468; the others are the issuers' own.
"""

from __future__ import annotations

import re

_PEM = r"-----BEGIN (?:[A-Z]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_JWT = r"\beyJ[A-Za-z0-9_-]{10,999}\.eyJ[A-Za-z0-9_-]{10,9999}\.[A-Za-z0-9_-]{10,999}"
_URL = r"(?<=[a-z])://[^\s:/@'\"\[\]<>{}]{1,64}:[^\s:/@'\"\[\]<>{}]{4,128}@[\w.-]"
# Where the next sign would have to be another one for the key to be over.
_END = r"(?![A-Za-z0-9_-])"

_FORMS: tuple[tuple[str, str, str], ...] = (
    ("AWS access key", "AKIA ASIA", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("AWS Bedrock key", "ABSK", r"\bABSK[A-Za-z0-9+/]{109,269}"),
    ("Alibaba access key", "LTAI", r"\bLTAI[A-Za-z0-9]{20}\b"),
    ("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
    ("GitHub token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{60,255}\b"),
    (
        "GitLab token",
        "glpat- gldt- glrt- glft- glptt- glcbt- gloas- glsoat- glagent- glimt- glffct-",
        r"\bgl(?:pat|dt|rt|ft|ptt|cbt|oas|soat|agent|imt|ffct)-[A-Za-z0-9_-]{20,255}",
    ),
    ("GitLab runner token", "GR1348941", r"\bGR1348941[A-Za-z0-9_-]{20}"),
    ("Slack token", "xox", r"\bxox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,255}"),
    ("Slack token", "xapp-", r"\bxapp-\d-[A-Z0-9]{8,20}-\d{8,20}-[a-z0-9]{20,255}"),
    (
        "Slack webhook",
        "hooks.slack.com",
        r"hooks\.slack\.com(?:/|%2F)services(?:/|%2F)T[A-Za-z0-9]{2,20}(?:/|%2F)B[A-Za-z0-9]{2,20}"
        r"(?:/|%2F)[A-Za-z0-9]{20,40}",
    ),
    (
        "Teams webhook",
        "webhook.office.com",
        r"\.webhook\.office\.com/webhookb2/[a-z0-9]{8}-[a-z0-9-]{27}@",
    ),
    (
        "Discord webhook",
        "/api/webhooks/",
        r"discord(?:app)?\.com/api/webhooks/\d{15,20}/[A-Za-z0-9_-]{60,80}",
    ),
    ("Anthropic key", "sk-ant-", r"\bsk-ant-[A-Za-z0-9_-]{20,255}"),
    ("OpenRouter key", "sk-or-", r"\bsk-or-v\d-[0-9a-f]{60,70}\b"),
    (
        "OpenAI key",
        "sk-",
        r"\bsk-(?!ant-|or-)(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,255}|[A-Za-z0-9]{20,255})",
    ),
    ("Google API key", "AIza", rf"\bAIza[0-9A-Za-z_-]{{35}}{_END}"),
    ("Google OAuth secret", "GOCSPX-", rf"\bGOCSPX-[A-Za-z0-9_-]{{28}}{_END}"),
    ("Google OAuth token", "ya29.", r"\bya29\.[A-Za-z0-9_-]{60,512}"),
    ("Stripe key", "k_live_ k_test_", r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{20,255}"),
    ("webhook secret", "whsec_", rf"\bwhsec_[A-Za-z0-9+/]{{32,64}}{_END}"),
    ("npm token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("PyPI token", "pypi-AgEI", r"\bpypi-AgEI[A-Za-z0-9_-]{50,255}"),
    ("RubyGems key", "rubygems_", r"\brubygems_[a-f0-9]{48}\b"),
    ("Hugging Face token", "hf_ api_org_", r"\b(?:hf|api_org)_(?=[a-z]*[A-Z])[A-Za-z0-9]{34}\b"),
    ("Replicate token", "r8_", r"\br8_[A-Za-z0-9]{37}\b"),
    ("Groq key", "gsk_", r"\bgsk_[A-Za-z0-9]{52}\b"),
    ("xAI key", "xai-", r"\bxai-[A-Za-z0-9]{70,90}\b"),
    ("Perplexity key", "pplx-", r"\bpplx-[A-Za-z0-9]{48}\b"),
    ("LangSmith key", "lsv2_", r"\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}\b"),
    ("SendGrid key", "SG.", rf"\bSG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}{_END}"),
    ("Mailchimp key", "-us", r"\b[a-f0-9]{32}-us\d{1,2}\b"),
    ("Mailgun key", "key-", r"\b(?:pub)?key-(?=[a-f]*\d)[a-f0-9]{32}\b"),
    ("Brevo key", "xkeysib-", r"\bxkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}\b"),
    ("Twilio key", "SK", r"\bSK(?=[a-f]*\d)[a-f0-9]{32}\b"),
    ("Telegram bot token", ":AA %3AAA", rf"\b\d{{8,10}}(?::|%3A)AA[A-Za-z0-9_-]{{33}}{_END}"),
    (
        "Discord bot token",
        ".",
        rf"\b[MNO][A-Za-z\d]{{23,25}}\.[A-Za-z\d_-]{{6}}\.[A-Za-z\d_-]{{27,40}}{_END}",
    ),
    ("DigitalOcean token", "_v1_", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("Databricks token", "dapi", r"\bdapi[a-f0-9]{32}(?:-\d)?\b"),
    ("Heroku key", "HRKU-", r"\bHRKU-[A-Za-z0-9_-]{30,70}"),
    (
        "Azure AD client secret",
        "Q~",
        rf"(?<![A-Za-z0-9_~.-])[\w~.]{{3}}\dQ~[A-Za-z0-9_~.-]{{31,34}}{_END}",
    ),
    ("Azure storage key", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    ("Shopify token", "shpat_ shpca_ shppa_ shpss_", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    ("Square token", "sq0", r"\bsq0(?:csp|atp|idp)-[A-Za-z0-9_-]{22,43}"),
    ("Square token", "EAAA", rf"\bEAAA[A-Za-z0-9_-]{{60}}{_END}"),
    ("Postman key", "PMAK-", r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b"),
    ("Linear key", "lin_api_", r"\blin_api_[A-Za-z0-9]{40}\b"),
    ("Notion token", "ntn_", r"\bntn_\d{11}[A-Za-z0-9]{35}\b"),
    ("Vault token", "hvs. hvb.", r"\bhv[sb]\.[A-Za-z0-9_-]{20,300}"),
    ("Terraform token", ".atlasv1.", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"),
    ("Grafana token", "glsa_", r"\bglsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}\b"),
    ("Grafana token", "glc_", r"\bglc_[A-Za-z0-9+/]{32,400}"),
    ("Docker Hub token", "dckr_", r"\bdckr_[po]at_[A-Za-z0-9_-]{27}"),
    ("Sentry token", "sntry", r"\bsntry(?:u_[a-f0-9]{64}|s_[A-Za-z0-9+/=_]{40,400})"),
    ("New Relic key", "NRAK- NRII- NRJS-", r"\bNR(?:AK|II|JS)-[A-Za-z0-9-]{19,40}"),
    ("Pulumi token", "pul-", r"\bpul-[a-f0-9]{40}\b"),
    (
        "Doppler token",
        "dp.",
        r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}\b",
    ),
    ("age key", "AGE-SECRET-KEY-", r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b"),
    ("Atlassian token", "ATATT3 ATCTT3 ATBB", r"\bAT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{28,255}"),
    ("Figma token", "figd_ figu_", r"\bfig[du]_[A-Za-z0-9_-]{40}"),
    ("Airtable token", "pat", r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    ("PlanetScale token", "pscale_", r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,64}"),
    ("Tailscale key", "tskey-", r"\btskey-[a-z]{2,12}-[A-Za-z0-9]{10,20}-[A-Za-z0-9]{20,40}\b"),
    ("Dynatrace token", "dt0", r"\bdt0[cs]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b"),
    ("Supabase token", "sbp_", r"\bsbp_[a-f0-9]{40}\b"),
    (
        "1Password key",
        "A3-",
        r"\bA3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}\b",
    ),
    ("1Password token", "ops_eyJ", r"\bops_eyJ[A-Za-z0-9+/]{250,}"),
    ("Artifactory key", "AKCp", r"\bAKCp[A-Za-z0-9]{69}\b"),
    ("Fly token", "fo1_ fm2_", r"\bf(?:o1_[A-Za-z0-9_-]{43}|m2_[A-Za-z0-9+/]{100,512})"),
    ("Readme key", "rdme_", r"\brdme_[a-z0-9]{70}\b"),
    ("EasyPost key", "EZAK EZTK", r"\bEZ[AT]K[A-Za-z0-9]{54}\b"),
    ("Cloudflare key", "v1.0-", r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{146}\b"),
    ("Contentful token", "CFPAT-", r"\bCFPAT-[A-Za-z0-9_-]{43}"),
    ("Netlify token", "nfp_", r"\bnfp_[A-Za-z0-9]{36}\b"),
    ("Prefect key", "pnu_", r"\bpnu_[A-Za-z0-9]{36}\b"),
    ("OpenShift token", "sha256~", rf"\bsha256~[A-Za-z0-9_-]{{43}}{_END}"),
    ("private key", "PRIVATE", _PEM.replace(" ", "(?: |%20|\\+)")),
    ("JSON web token", "eyJ", _JWT),
    ("password in a URL", "://", _URL),
)
FORMS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (kind, tuple(hints.split()), re.compile(form)) for kind, hints, form in _FORMS
)
