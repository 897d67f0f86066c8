"""Wordings of texts that steer agents, as data: what is enough alone, and what is telling only
beside another of its kind.
"""

from __future__ import annotations

from verification.domain.leaving import SECRET_FILE, SECRET_VARIABLE

OVERRIDE = "order to an agent"
IMITATION = "imitation of a tool call"
ROLE = "role without rules"
PROMPT = "question for the system prompt"
SECRECY = "order to hide from people"
LEAVING = "order to send data away"
SHOWING = "command that shows secrets"
READER = "address to a machine that reads"

_RULES = (
    r"(?:i?u?nstructions?|instructons?|prompts?|rules?|directions?|directives?|guidelines?|orders?"
    r"|messages?|commands?|constraints?|programming|training|polic(?:y|ies)|guardrails?|safeguards?"
    r"|restrictions?|limitations?|filters?|safety\s+\w+|system\s+prompt|context)\b"
)
_DROP = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget|override|overriding|bypass|discard|delete"
    r"|do\s+not\s+follow|stop\s+following)"
)
_BEFORE = (
    r"(?:previous(?:ly)?|prior|above|earlier|preceding|foregoing|former|past|initial|original|system"
    r"|your|openai(?:'s)?|developer|existing|current|other|all|any|everything|these|those)"
)
_MODEL = (
    r"(?:chat\s?gpt|gpt|llms?|ai|a\.i\.|bard|claude|language\s+model|assistant|chatbot"
    r"|ai\s+(?:agent|model|assistant))"
)
# What is asked to be sent, to where, and how that is said: all three near each other.
SECRET = (
    r"(?:\bpasswords?|passphrases?|credentials?|secrets?\b|api[\s_-]?keys?|(?:access|auth|session|bearer"
    r"|secret)[\s_-]?(?:tokens?|keys?)|\btokens?\b|private\s+keys?|ssh\s+keys?|id_rsa|\.env\b|\.ssh\b|\.aws\b"
    r"|\.netrc|environment\s+variables|env\s+vars?|/etc/(?:passwd|shadow)|security\s+code|cookies?"
    r"|conversation|chat\s+history|personal\s+(?:data|information)|customer\s+(?:data|records?))"
)
TARGET = r"(?:https?://|www\.|[\w.+-]{1,64}@[\w-]{1,63}\.\w|\b\d{1,3}(?:\.\d{1,3}){3}\b|webhook)"
SEND = (
    r"\b(?:send|e-?mail|forward|post|upload|submit|transmit|exfiltrate|leak|curl|wget|report|copy|append"
    r"|include|share|pipe|nc)\b"
)

# One is enough. Kind, texts of which one must occur in lower case (looking for them is nearly free),
# wording.
ALONE: tuple[tuple[str, str, str], ...] = (
    (
        OVERRIDE,
        "ignor disregard forget overrid bypass discard delete follow",
        rf"\b{_DROP}\s+(?:\S+\s+){{0,4}}?{_BEFORE}\s+(?:\S+\s+){{0,3}}?{_RULES}",
    ),
    (OVERRIDE,
        "ignore disregard forget",
        rf"\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+|my\s+|your\s+)?{_RULES}"
               r"(?=\s*(?:,|\.|!|:|;|and\b|given|you\b|that\b|above|before|$))"),
    (
        OVERRIDE,
        "ignore disregard forget",
        r"\b(?:ignore|disregard|forget)\s+(?:absolutely\s+)?(?:everything|anything|all)\s+(?:\w+\s+){0,4}?"
        r"(?:above|before|previous(?:ly)?|prior|earlier|told|said|learned|know|else"
        r"|info(?:rmation)?)\b",
    ),
    (
        OVERRIDE,
        "ignore disregard",
        r"\b(?:ignore|disregard)\s+(?:all\s+)?(?:the\s+rest\s+of\s+)?(?:this|the|other|that)\s+"
        r"(?:\w+\s+)?(?:data|content|text|document|info(?:rmation)?)\b.{0,60}"
        r"\b(?:print|say|reply|respond|output|report|repeat|instead)\b",
    ),
    (OVERRIDE, "instruction", r"\bnew\s+(?:system\s+)?instructions?\s*:"),
    (OVERRIDE,
        "your",
        r"\byour\s+(?:new|real|true|actual)\s+(?:task|instructions?|goal|objective|purpose)"
        r"\s+(?:is|are)\b"),
    (
        OVERRIDE,
        "instruction",
        r"\b(?:adhere|stick|comply)\s+(?:strictly\s+)?(?:only\s+)?(?:to|with)\s+the"
        r"\s+following\s+instructions?\b",
    ),
    (
        OVERRIDE,
        "you",
        r"\b(?:before|after)\s+you\s+(?:can\s+)?(?:solve|do|complete|finish|continue(?:\s+with)?|proceed"
        r"(?:\s+with)?|start|answer)\s+(?:that|this|the\s+(?:original\s+|actual\s+)?(?:task|request"
        r"|question))\b.{0,120}\b(?:first|following|you\s+can)\b",
    ),
    (OVERRIDE, "everything", r"\bstop\s+everything\b"),
    (OVERRIDE,
        "override",
        r"\b(?:emergency|admin(?:istrator)?|security|developer|root|manual)\s+override\b"),
    (
        IMITATION,
        "</ tool information important instruction admin assistant system invoke function_call",
        r"</?\s*(?:tool_call|function_calls?|invoke|tool_use|tool_result|system[-_ ]?(?:prompt|message"
        r"|reminder)?|information|important|instructions?|admin|assistant)\s*>",
    ),
    (IMITATION, "<|", r"<\|(?:im_start|im_end|system|assistant|user|endoftext|\w*header_id)\|>"),
    (IMITATION,
        "inst] <<sys <</sys <end",
        r"\[/?INST\]|<</?SYS>>|<end\s+of\s+(?:session|document|context|prompt)>"),
    (IMITATION,
        "system assistant",
        r"^\W{0,9}(?:system|assistant)(?:\s+(?:message|prompt|note|override|update"
        r"|instruction))?\s*:\s*\S"),
    (IMITATION, "system", r"\#{2,}\s*[\[(]?\s*system[\s_]?(?:message|prompt|instruction)?\s*[\])]"),
    (IMITATION,
        "system admin assistant",
        r"[\[({]\s*(?:system|admin(?:istrator)?|assistant)(?:[\s_]+\w+){0,3}\s*:"),
    (IMITATION,
        "[system [admin",
        r"\[(?:system|admin(?:istrator)?)(?:[\s_](?:message|request|note|override"
        r"|prompt))?\]\s*\S"),
    (IMITATION, "tool_calls function_call", r'"tool_calls"\s*:\s*\[|"function_call"\s*:\s*\{'),
    (ROLE, "anything dan jail", r"\bdo\s+anything\s+now\b|\bDAN\s+mode\b|\bjail\s?broken\b"),
    (ROLE,
        "unrestricted dan mode",
        r"\byou\s+are\s+now\s+(?:in\s+)?(?:dan\b|(?:developer|maintenance|debug|admin|god)"
        r"\s+mode|an?\s+unrestricted)"),
    (
        ROLE,
        "gpt llm ai a.i. bard claude language assistant chatbot",
        rf"\byou\s+(?:are|will|shall|should)\s+(?:now\s+|no\s+longer\s+|not\s+)?(?:be\s+|act(?:ing)?\s+as\s+"
        rf"|respond\s+as\s+|become\s+)?(?:an?\s+)?no(?:t|\s+longer)\s+(?:an?\s+)?{_MODEL}\b",
    ),
    (
        ROLE,
        "moral ethic censorship",
        r"\b(?:without|no|free\s+(?:of|from)|not\s+(?:have\s+)?(?:any\s+)?|ignor\w+|zero|beyond)\s+(?:\w+\s+){0,3}?"
        r"(?:moral|ethical|ethics|censorship|legal\s+and\s+ethical)\b(?:\s+\S+){0,3}?\s+"
        r"(?:restrictions?|guidelines?|limits?|limitations?|bounds?|boundaries|constraints?|filters?|standards?"
        r"|principles?|codes?|rules?)\b",
    ),
    (ROLE,
        "unfiltered uncensored amoral",
        r"\b(?:un(?:filtered|censored)|amoral)\b.{0,60}\b(?:unfiltered|uncensored|amoral"
        r"|unethical|immoral|illegal|chatbot|response|ai)\b"),
    (ROLE,
        "illegal ethical moral",
        r"\b(?:illegal|unethical|immoral)\b.{0,25}\b(?:unethical|immoral|illegal|inhumane"
        r"|harmful|dangerous|offensive)\b"),
    (ROLE,
        "openai anthropic google",
        r"\b(?:openai|anthropic|google)(?:'s)?\s+(?:content\s+)?(?:polic(?:y|ies)|guidelines"
        r"|rules|restrictions)\b.{0,80}\b(?:not|ignore|without|bypass|free|bound|comply"
        r"|contradict)\b"),
    (ROLE,
        "openai anthropic",
        r"\b(?:not|never|no\s+longer|ignor\w+|against|violat\w+|bypass\w*|free\s+from)"
        r"\b.{0,50}\b(?:openai|anthropic)(?:'s)?\s+(?:content\s+|usage\s+|use\s+)?(?:polic(?:y"
        r"|ies)|guidelines|rules|restrictions|terms)\b"),
    (ROLE,
        "free from of",
        r"\b(?:broken|break|set|freed?|liberated)\s+(?:free\s+)?(?:of|from)\s+(?:all\s+|the\s+"
        r"|any\s+|its\s+|their\s+)?(?:typical\s+|usual\s+|standard\s+)?(?:confines|constraints"
        r"|restrictions|limitations|shackles|chains)\b"),
    (PROMPT,
        "prompt instruction message configuration",
        r"\b(?:reveal|print|repeat|show|output|display|disclose|leak|expose"
    r"|recite|dump|translate|encode|write|give|tell)\b"
             r"(?:\s+\S+){0,4}?\s+(?:your|the)\s+(?:\w+\s+)?(?:system\s+prompt|(?:hidden|initial|starting|original|system"
             r"|secret|internal)\s+(?:instructions?|prompt|message|configuration))\b"),
    (PROMPT,
        "prompt instruction message",
        r"\bwhat\s+(?:are|is|were)\s+(?:your|the)\s+(?:\w+\s+)?(?:system\s+prompt|(?:initial"
        r"|original|hidden|secret|system)\s+(?:instructions?|prompt|message))\b"),
    (PROMPT,
        "given told instructed",
        r"\b(?:instructions|everything|text|what)\s+(?:that\s+)?you\s+(?:were|have\s+been)"
        r"\s+(?:given|told|instructed)\b.{0,40}\b(?:beginning|start|before|initially|above"
        r"|first)\b"),
    (PROMPT,
        "above prompt conversation",
        r"\b(?:repeat|output|print|recite)\s+(?:\w+\s+){0,3}?(?:above|system\s+prompt"
        r"|conversation)\b.{0,40}\b(?:full|verbatim|word\s+for\s+word|exactly|block|back)\b"),
    (SECRECY,
        "user human operator reviewer maintainer developer owner",
        r"\b(?:do\s+not|don't|never|without|avoid)\s+(?:tell|inform|alert|notify|warn|mention"
        r"|reveal|disclos|telling|inform|alert|notify)\w*\s+(?:\w+\s+){0,4}?(?:the\s+)?(?:user"
        r"|human|operator|reviewer|maintainer|developer|owner)s?\b"),
    (SECRECY,
        "from",
        r"\b(?:hide|conceal|keep)\s+(?:this|it|that)\s+(?:\w+\s+)?from\s+the\s+(?:user|human"
        r"|operator|reviewer)"),
    (LEAVING,
        "![",
        r"!\[[^\]\n]{0,80}\]\(\s*(?:https?:)?//[^)\s]{1,200}?[=/?&](?:\[|\{|\$|<|%5B|%7B|DATA"
        r"|SECRET)"),
    (LEAVING,
        "replac",
        r"\b(?:image|logo|pixel|img|url|link|address)\b.{0,120}\breplac\w+\b.{0,60}"
        r"\b(?:conversation|previous\s+message|secret|history|data)\b"),
    (SHOWING, "$", rf"\b(?:echo|print(?:f|env)?)\b[ \t(\"'`]{{0,4}}{SECRET_VARIABLE}(?![^\n]{{0,300}}\|)"),
    (SHOWING,
        ".ssh id_ .env .aws .netrc .pgpass .npmrc .pypirc .git- .kube .docker shadow"
        " passwd /environ .gnupg gcloud credentials _history secret .pem .p12 .pfx .kdbx cookies",
        rf"\b(?:cat|less|head|tail|type|base64|xxd|open)\b[ \t(\"']{{1,4}}[^\s\"'`;"
        rf"|]{{0,60}}{SECRET_FILE}"),
    (SHOWING,
        "environ getenv",
        r"\bprint\(.{0,60}?\bos\.(?:environ\b(?!\.get\([\"'](?:HOME|PATH|USER|LANG)\b)|getenv"
        r"\b)"),
    (SHOWING, "env", r"(?:^|[`;&]|\brun[ \t])[ \t]{0,9}(?:env|printenv)[ \t]{0,9}(?:\||>|`)"),
    (SHOWING,
        ".git/hooks .bashrc .zshrc .profile authorized_keys",
        r">{1,2}\s{0,9}(?:\S{0,300}/)?\.git/hooks/|>{1,2}\s{0,9}~?/?\S{0,300}\.(?:bashrc|zshrc|profile"
        r"|ssh/authorized_keys)\b"),
    (READER,
        "agent",
        r"\b(?:ai|coding\s+)?agents?\s+(?:must|shall)\s+(?:\w+\s+){0,2}?(?:run|execute|send"
        r"|add|install|delete|approve|first)\b"),
    (READER,
        "automated gpt llm ai a.i. bard claude language assistant chatbot",
        rf"\b(?:note|message|instructions?|attention|notice)\s+(?:to|for)\s+(?:all\s+|any\s+"
        rf"|the\s+)?(?:automated|{_MODEL}s?)\b"),
    (READER, "if", rf"\bif\s+you\s+are\s+(?:an?\s+)?(?:automated\s+)?{_MODEL}\b.{{0,120}}"),
    (READER,
        "important urgent",
        rf"\b(?:important|urgent)\s+(?:message|notice|instructions?)\s+(?:from"
        rf"\s+\w+(?:,[^,]{{1,40}},)?|for|to)\s+(?:\w+\s+)?(?:you\b|{_MODEL})"),
    (READER,
        "invisible hidden",
        r"\b(?:invisible|hidden)\s+(?:to|from)\s+(?:humans?|people|readers?)\b.{0,60}"
        r"\b(?:llms?|ai|model|scan|agent)s?\b"),
    (READER,
        "must should shall",
        rf"\b{_MODEL}s?\s+(?:\w+\s+){{0,4}}?(?:must|should|shall)\s+(?:\w+"
        rf"\s+){{0,4}}?(?:approve|delete|send|run|execute|install|grant|e-?mail|ignore|also"
        rf"|first)\b"),
)  # fmt: skip
# Telling together: three that stand near each other, one of the first sort among them.
ADDRESSING: tuple[str, ...] = (
    r"\bfrom\s+(?:now\s+on|this\s+(?:point|moment)|on\s+now)\b",
    r"\b(?:stay|remain|break(?:ing)?|out\s+of)\s+(?:in\s+|your\s+)?character\b",
    r"\byou\s+are\s+(?:now|no\s+longer|going\s+to)\b|\byou\s+will\s+(?:now\s+)?(?:act"
    r"|pretend|simulate|play|be\s+acting)\b",
    r"\b(?:act|acting|pretend|role-?\s?play|simulate|roleplays?|persona|impersonat\w+)\b",
    r"\b(?:chat\s?gpt|openai|language\s+model|as\s+an\s+ai|gpt-?\d)\b",
    r"\bdeveloper\s+mode\b|\bjailbreak\b|\bDAN\b|\bAIM\b|\bSTAN\b",
)  # fmt: skip
LOOSENING: tuple[str, ...] = (
    r"\b(?:unfiltered|uncensored|amoral|unrestricted|unhinged|unbiased\s+model|without"
    r"\s+(?:any\s+)?(?:restrictions?|limits?|filters?|warnings?|limitations?))\b",
    r"\b(?:never|not|cannot|can't|don't)\s+(?:\w+\s+){0,2}?(?:refuse|refuses|decline"
    r"|reject|say\s+no|apologi[sz]e)\b|\bnever\s+says?\b",
    r"\b(?:illegal|unethical|immoral|racist|offensive|profanity|swear|toxic|nsfw|sexual"
    r"|explicit|harmful|hate[- ]speech|obscene|curse|vulgar)\b",
    r"\b(?:moral(?:s|ity)?|ethic(?:s|al|ality)?|legality|law(?:s|ful)?)\b",
    r"\b(?:no|any|all|zero|set\s+of)\s+(?:\w+\s+){0,2}?(?:restrictions?|limitations?"
    r"|guidelines?|rules|boundaries|filters?|censorship)\b",
    r"\bpolic(?:y|ies)\b|\bdisclaimers?\b|\bwarnings?\b",
    r"\b(?:two|both|2)\s+(?:\w+\s+)?(?:responses?|ways|personas?|personalit\w+|answers)\b",
    r"\[INSERT\b|\{\{?\s*prompt\s*\}?\}|\[(?:PROMPT|QUERY|question)\b",
    r"\b(?:prefix|start|begin|preface)\w*\s+(?:\w+\s+){0,3}?(?:with|your|all|every)\b|"
    r"\brespond\s+with\b",
    r"\bfictional\b|\bhypothetical\b|\bin\s+this\s+(?:story|game|scenario|role)\b|"
    r"\bcharacter\s+(?:named|called|who)\b",
)  # fmt: skip
TOGETHER_MIN = 3
