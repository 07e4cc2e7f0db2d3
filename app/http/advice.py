"""What a check came to, in words for the person who has to mend it, and how.

The one rule: a sentence says what is so, the next one what to do; both without blame, and
neither repeats what a stranger's server answered.
"""

from typing import Literal

State = Literal["ok", "todo", "failed", "unknown"]
Words = tuple[State, str, str]
"""State, sentence, next step."""

ANYBODY: dict[str, Words] = {
    "not_asked": ("unknown", "It is set, and was not checked yet.", ""),
    "timed_out": (
        "failed",
        "{who} did not answer within five seconds.",
        "Try again; if it stays so, see whether a firewall or proxy keeps this machine from it.",
    ),
    "no_such_host": (
        "failed",
        "The name of {who} cannot be found.",
        "See that the address in .env is right and that this machine reaches the internet.",
    ),
    "unreachable": (
        "failed",
        "{who} takes no connection.",
        "See that the address in .env is right and that this machine reaches the internet.",
    ),
    "certificate": (
        "failed",
        "The certificate of {who} is not valid for its name.",
        "A proxy that reads along does this, and so does a server with a certificate of its own.",
    ),
    "garbled": (
        "failed",
        "What answers for {who} does not speak HTTP properly.",
        "See that the address in .env is right, its http:// or https:// too.",
    ),
    "too_large": (
        "unknown",
        "{who} answered with more than a megabyte, which was not read to its end.",
        "See that the address in .env is the API's.",
    ),
    "redirected": (
        "failed",
        "{who} sends us on to {names}, and calls do not follow.",
        "Put the address it leads to into .env.",
    ),
    "html": (
        "failed",
        "A web page came back where {who} should have answered.",
        "See that the address in .env is the API's, and that no proxy asks for a login.",
    ),
    "not_the_api": (
        "failed",
        "Something answers in the place of {who} that is not its API.",
        "See that the address in .env is right.",
    ),
    "busy": ("unknown", "{who} is asked too often at the moment.", "Check again in a minute."),
    "server_error": ("unknown", "{who} has a fault at the moment.", "Check again in a minute."),
}
"""What any of them may come to."""

OPENAI: dict[str, Words] = {
    "ok": ("ok", "The key is accepted, and {model} is among its models.", ""),
    "unset": (
        "todo",
        "There is no key yet, so a small local model answers.",
        "Make a key and put it into .env",
    ),
    "refused": (
        "failed",
        "{who} does not accept the key (401).",
        "Make a new key and put it into .env",
    ),
    "not_allowed": (
        "unknown",
        "{who} knows the key, which may not list models; calls may work all the same.",
        "Give the key the permission to read models, or see how a call goes.",
    ),
    "no_list": (
        "unknown",
        "{who} has no list of models, so nothing can be said before a call.",
        "See how a call goes.",
    ),
    "deployments": (
        "unknown",
        "The key is accepted; whether there is a deployment named {model} only a call shows.",
        "The agent document's model must be the name of your deployment.",
    ),
    "without_model": (
        "failed",
        "The key is accepted, but {model} is not among its models.",
        "Allow the model for the key's project, or set another in the agent document{near}",
    ),
}

TWILIO: dict[str, Words] = {
    "ok": ("ok", "Twilio accepts the auth token; the account is active.", ""),
    "unset": (
        "todo",
        "There is no Twilio account yet, so nobody can ring from outside.",
        "Copy both from the console into .env",
    ),
    "refused": (
        "failed",
        "Twilio does not accept the account SID with this auth token (20003).",
        "Copy both again from the console's first page; an API key's secret is no auth token.",
    ),
    "no_account": (
        "failed",
        "Twilio knows no account with this SID (20404).",
        "Copy it again from the console's first page.",
    ),
    "test_credentials": (
        "failed",
        "These are Twilio's test credentials, which take no calls (20008).",
        "Copy the live credentials from the console's first page.",
    ),
    "trial": (
        "failed",
        "The account is a trial: Twilio leaves the stream out of its calls, so callers hear"
        " Twilio's notice and then the fallback sentence.",
        "Upgrade the account in the console; the number stays.",
    ),
    "suspended": (
        "failed",
        "The account is suspended: its calls are refused.",
        "The console says why and what helps, mostly a payment.",
    ),
    "closed": ("failed", "The account is closed.", "Put another account into .env."),
}

PUBLIC: dict[str, Words] = {
    "ok": ("ok", "It is https, and it leads to this server.", ""),
    "unset": (
        "todo",
        "There is no public address yet; Twilio must reach this machine from outside.",
        "Open a tunnel with ngrok, in three lines",
    ),
    "house": (
        "todo",
        "It leads to this server, and only from this machine.",
        "For real calls give it a public https address",
    ),
    "other_instance": (
        "failed",
        "Another Patchline answers there, not this one: one that was started earlier, or another"
        " process behind the same address.",
        "End the other one, or lead the address to this server's port.",
    ),
    "other_server": (
        "failed",
        "Something else than Patchline answers there.",
        "Lead the address to this server's port, for instance with ngrok",
    ),
    "html": (
        "failed",
        "A web page came back instead of this server's answer: a login, a parked name or a proxy.",
        "Let requests through unchanged, or use a tunnel",
    ),
    "interstitial": (
        "failed",
        "The tunnel shows its own warning page instead of this server.",
        "Claim a domain in ngrok's dashboard and use it",
    ),
    "tunnel_offline": (
        "failed",
        "The address is a tunnel's, and no tunnel is open.",
        "Open it; if ngrok shows another address, put that one into .env",
    ),
    "tunnel_elsewhere": (
        "failed",
        "The tunnel is open and ends where nobody listens.",
        "Open it to this server's port",
    ),
    "locked": (
        "failed",
        "Something in front of this server asks for a login; Twilio has none.",
        "Let Twilio's requests through: Patchline checks their signature itself.",
    ),
    "redirected": (
        "failed",
        "The address sends us on to {names}; Twilio's signature would not fit there.",
        "Put the address at which it ends into .env as PUBLIC_URL.",
    ),
    "server_error": (
        "failed",
        "Something answers there for a server it cannot reach.",
        "Lead the address to this server's port, for instance with ngrok",
    ),
    "no_such_host": (
        "failed",
        "There is no such name: a tunnel without a fixed domain has a new one each time.",
        "Open the tunnel and put the address it shows into .env",
    ),
    "timed_out": (
        "failed",
        "Nothing answers there within five seconds. Some routers do not let a machine reach itself"
        " by its public address: then only a call shows it.",
        "Open the port in the firewall, or use a tunnel",
    ),
    "unreachable": (
        "failed",
        "Nobody takes connections there.",
        "Open the port in the firewall, or use a tunnel",
    ),
}
WITH_TUNNEL = frozenset(PUBLIC) - {"ok", "other_instance", "locked", "redirected"}

PASTE = "Set these on the number's page in the console, under Voice"
NUMBERS: dict[str, Words] = {
    **{reason: words for reason, words in TWILIO.items() if reason != "ok"},
    "unset": (
        "todo",
        "Comes after the account and the public address.",
        f"Buy a number with voice. {PASTE}",
    ),
    "refused": (
        "failed",
        "Twilio does not show the numbers to these credentials (20003).",
        "With TWILIO_API_KEY: see that key and secret belong to this account.",
    ),
}
