"""The names of the tools that are built in: one list, for whoever offers, decides or refuses them.

What the model sees of each is in ``app.tools.builtin``, which agent has it in ``app.built_ins``.
"""

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
COLLECT_DTMF = "collect_dtmf"
SCHEDULE_CALLBACK = "schedule_callback"
SET_REMINDER = "set_reminder"
SEND_DTMF = "send_dtmf"
HOLD = "hold"
SEND_SMS = "send_sms"
VERIFY_CODE = "verify_code"
SEND_LINK = "send_link"
UPDATE_FORM = "update_form"
SEARCH_KNOWLEDGE = "search_knowledge"
HANDOFF = "handoff"

NAMES = frozenset(
    {END_CALL, TRANSFER_CALL, COLLECT_DTMF, SCHEDULE_CALLBACK, SET_REMINDER, HOLD, SEND_SMS}
    | {VERIFY_CODE, SEND_LINK, SEND_DTMF, UPDATE_FORM, SEARCH_KNOWLEDGE, HANDOFF}
)
"""No tool of the operator's may have one of them."""
