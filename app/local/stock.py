"""What the local model says of its own accord. These lines are rendered in advance.

The rest of what it says comes from the operator: the greeting, what tools return, scenarios.
"""

ONE_MOMENT = "One moment, please."
PUTTING_THROUGH = "One moment please, I am putting you through."
GOODBYE = "Thank you for calling. Goodbye."
HELLO = "Hello. How can I help you?"
HERE_AGAIN = "Sorry, there was an interruption. How can I help you?"
NOBODY_FREE = "I am sorry, nobody could take the call. Can I help you with something else?"
NOBODY_HERE = "There is nobody I can put you through to here. Is there anything else?"
WHAT_ELSE = "Is there anything else?"
YOU_ARE_WELCOME = "You are welcome. Is there anything else?"
STILL_THERE = "Are you still there?"
NOTED = "All right. Is there anything else?"
NOT_CAUGHT = "Sorry, I did not catch that."
STILL_NOT_CAUGHT = "Sorry, I still did not understand."
HOW_CAN_I_HELP = "How can I help you?"
TRY_KEYPAD = "Sorry, I still did not understand. You can also use the keypad, or type."
NOT_KEYED = "Sorry, I have not got that. Is there anything else?"
KEY_AGAIN = "Sorry, that does not fit. Please key it in once more."
DID_NOT_WORK = "I am sorry, that did not work."
NOTHING_TO_REPEAT = "I have not said anything yet. How can I help?"
REHEARSAL = (
    "This is the rehearsal voice on your own computer. I understand a few phrases of your agent."
)
WHICH_DAY = "For which day?"
YES_OR_NO = "Yes or no?"

LINES = tuple(
    value for name, value in list(globals().items()) if name.isupper() and isinstance(value, str)
)
"""Every line above."""
