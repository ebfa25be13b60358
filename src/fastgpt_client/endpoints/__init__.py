"""Call the endpoints beside the chat: chats, records, feedback, files, speech, keys.

Each function checks its arguments and returns a :class:`~fastgpt_client.Call`, which either client
sends::

    page = await client.call(endpoints.histories(app_id))
    async for chat in client.iterate(endpoints.histories(app_id)):
        print(chat.name)

Nothing is sent by the function itself. For an endpoint that is not here there is
``client.request()``.
"""

from __future__ import annotations

from ._chat_values import App, Chat, ChatDetails
from ._chats import (
    chat_details,
    chat_statuses,
    clear_histories,
    delete_chat,
    erase_chats,
    histories,
    mark_read,
    update_chat,
)
from ._feedback import FeedbackKind, feedback_ids, give_feedback, mark_feedback_read
from ._files import UploadTicket, file_url, upload_ticket
from ._questions import suggested_questions, suggested_questions_for
from ._quotes import Quote, collection_quotes, quotes
from ._record_values import Record
from ._records import delete_record, node_responses, records, records_around
from ._runs import StopReport, key_app, stop_run
from ._speech import speech, transcription

__all__ = [
    "App",
    "Chat",
    "ChatDetails",
    "FeedbackKind",
    "Quote",
    "Record",
    "StopReport",
    "UploadTicket",
    "chat_details",
    "chat_statuses",
    "clear_histories",
    "collection_quotes",
    "delete_chat",
    "delete_record",
    "erase_chats",
    "feedback_ids",
    "file_url",
    "give_feedback",
    "histories",
    "key_app",
    "mark_feedback_read",
    "mark_read",
    "node_responses",
    "quotes",
    "records",
    "records_around",
    "speech",
    "stop_run",
    "suggested_questions",
    "suggested_questions_for",
    "transcription",
    "update_chat",
    "upload_ticket",
]
