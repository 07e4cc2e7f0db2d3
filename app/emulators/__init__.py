"""A local Twilio and a local OpenAI, independent of the app's codecs, to judge it by."""
