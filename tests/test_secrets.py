"""Keys, tokens and passwords are neither listed nor shown; what only looks like one stays."""

import json
import random
import string
import uuid
from collections.abc import Callable

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.agent_logs import call

pytestmark = pytest.mark.slow

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
CHANCE = random.Random(14)


def some(letters: str, count: int) -> str:
    """Return random characters, a digit and a letter of each case first where there are such."""
    return (some_of(letters) + "".join(CHANCE.choices(letters, k=count)))[:count]


def some_of(letters: str) -> str:
    """Return one of each class that the letters have."""
    classes = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    return "".join(next((c for c in one if c in letters), "") for one in classes)


SECRETS: dict[str, str] = {
    "OpenAI": "sk-proj-" + some(ALNUM, 40),
    "OpenAI, old": "sk-" + some(ALNUM, 48),
    "Anthropic": "sk-ant-api03-" + some(ALNUM, 40),
    "Stripe": "sk_live_" + some(ALNUM, 24),
    "Stripe, restricted": "rk_live_" + some(ALNUM, 24),
    "Stripe, hook": "whsec_" + some(ALNUM, 32),
    "GitHub": "ghp_" + some(ALNUM, 36),
    "GitHub, fine": "github_pat_" + some(ALNUM, 60),
    "GitLab": "glpat-" + some(ALNUM, 20),
    "Slack": "xoxb-" + some(string.digits, 12) + "-" + some(ALNUM, 24),
    "Slack, app": "xapp-1-" + some(ALNUM, 40),
    "AWS, id": "AKIA" + some(string.ascii_uppercase + string.digits, 16),
    "AWS, secret": "w" + some(ALNUM, 18) + "/" + some(ALNUM, 20),
    "Google": "AIza" + some(ALNUM, 35),
    "Google, client": "GOCSPX-" + some(ALNUM, 28),
    "Google, access": "ya29." + some(ALNUM, 60),
    "Shopify": "shpat_" + some(HEX, 32),
    "Twilio": "SK" + some(HEX, 32),
    "SendGrid": "SG." + some(ALNUM, 22) + "." + some(ALNUM, 43),
    "npm": "npm_" + some(ALNUM, 36),
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + some(ALNUM, 60),
    "Hugging Face": "hf_" + some(ALNUM, 34),
    "JSON web token": "eyJ" + some(ALNUM, 33) + ".eyJ" + some(ALNUM, 40) + "." + some(ALNUM, 43),
    "DigitalOcean": "dop_v1_" + some(HEX, 64),
    "Vault": "hvs." + some(ALNUM, 24),
    "Linear": "lin_api_" + some(ALNUM, 40),
    "Figma": "figd_" + some(ALNUM, 40),
    "Databricks": "dapi" + some(HEX, 32),
    "Mailgun": "key-" + some(HEX, 32),
    "Telegram": some(string.digits, 10) + ":AA" + some(ALNUM, 33),
    "Groq": "gsk_" + some(ALNUM, 52),
    "age": "AGE-SECRET-KEY-1" + some(string.ascii_uppercase + string.digits, 58),
    "card": "4111 1111 1111 1111",
}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "in a sentence": lambda secret: f"Here it is: {secret}, use it.",
    "in a header": lambda secret: f'curl -H "X-Value: {secret}" https://api.example/v1',
    "in JSON": lambda secret: json.dumps({"note": {"item_id": secret}}),
}
TOLD = {
    "password=hunter2hunter2": "hunter2hunter2",
    "export DB_PASSWORD='S3cret99x'": "S3cret99x",
    '{"db": {"password": "Tr0ub4dor_33"}}': "Tr0ub4dor_33",
    "Authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l": "YWxhZGRpbjpvcGVuc2VzYW1l",
    "https://ann:pa55word99@x.example/a": "pa55word99",
    "https://x.example/a?access_token=abc_12345_xyz": "abc_12345_xyz",
    "mysql --password Hunter_2222 shop": "Hunter_2222",
}
ALIKE = [
    *(some(HEX, 40) for _ in range(40)),
    *(some(HEX, 64) for _ in range(40)),
    *(some(HEX, 32) for _ in range(40)),
    *(str(uuid.UUID(int=CHANCE.getrandbits(128), version=4)) for _ in range(40)),
    *(f"cus_{some(string.digits, 4)}{some(ALNUM, 10)}" for _ in range(20)),
    *(f"ORD-{CHANCE.randint(10**5, 10**6)}" for _ in range(20)),
]


def listed(conn: psycopg.Connection, text: str) -> tuple[set[str], str]:
    """Return the references in a text, said by a user and given to a tool, and all that is shown of them."""
    made = [call("c1", "run", json.dumps({"text": text})), call("c2", "run_raw", text)]
    row = conn.execute("select kata.create_context()").fetchone()
    assert row is not None
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": None, "tool_calls": made}]
    conn.execute("select kata.append(%s, %s)", [row[0], Jsonb(messages)])
    rows = conn.execute("select ref, detail::text from kata.artifacts(%s)", [row[0]]).fetchall()
    return {ref for ref, _ in rows}, "\n".join(f"{ref} {detail}" for ref, detail in rows)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_secrets_are_neither_listed_nor_shown(conn: psycopg.Connection, spelling: str) -> None:
    for kind, secret in SECRETS.items():
        shown = listed(conn, SPELLINGS[spelling](secret))[1]
        parts = {secret[at : at + 12] for at in range(len(secret) - 11)}
        assert not [part for part in parts if part in shown], f"{kind}: {shown}"


@pytest.mark.parametrize("text", TOLD)
def test_values_that_are_said_to_be_secret_are_not_shown(conn: psycopg.Connection, text: str) -> None:
    assert TOLD[text] not in listed(conn, text)[1]


def test_hashes_and_identifiers_stay(conn: psycopg.Connection) -> None:
    assert len(ALIKE) == 200
    assert set(ALIKE) - listed(conn, "\n".join(ALIKE))[0] == set()
