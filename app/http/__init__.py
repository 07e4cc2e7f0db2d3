"""The edge: Twilio's webhooks, the media socket, the operator's API."""
