"""Waiting: the live calls, their tasks, their alarms and the effects they ask for."""
