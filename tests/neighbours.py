"""Recorded calls of the endpoints around the chat, and what each of them must mean.

What an answer means is worked out here from its JSON, by other code than the package's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

import attrs

import fastgpt_client as f
from fastgpt_client import endpoints

from .recordings import PATHS, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fastgpt_client import Call

APP = "6b02cae66aab562396408274"


@attrs.frozen(kw_only=True)
class Neighbour:
    """One recorded call: what was asked, and the response on the socket."""

    name: str
    method: str
    #: Without the query.
    path: str
    #: Query and body together, as far as they are JSON or a query.
    fields: dict[str, Any]
    is_form: bool
    exchange: Exchange

    @property
    def raw(self) -> bytes:
        return self.exchange.raw

    @property
    def is_html(self) -> bool:
        return self.exchange.headers.get("content-type", "").startswith("text/html")

    @property
    def payload(self) -> Any:
        return json.loads(self.exchange.body)

    @property
    def data(self) -> Any:
        return self.payload["data"]


def neighbours(folder: Path) -> list[Neighbour]:
    """Every recorded exchange that is no completion."""
    found = []
    for path in sorted((folder / "captures-4.14").glob("*.raw")):
        told = json.loads(path.with_suffix(".json").read_text("utf-8"))
        request = told.get("request")
        if not isinstance(request, dict) or request["path"].partition("?")[0] in PATHS:
            continue
        parts = urlsplit(request["path"])
        fields: dict[str, Any] = dict(parse_qsl(parts.query))
        body = request["body"]
        if isinstance(body, dict):
            fields |= body
        exchange = Exchange(path.stem, "v1", False, _with_its_length(path.read_bytes()))
        found.append(
            Neighbour(
                name=path.stem,
                method=request["method"],
                path=parts.path,
                fields=fields,
                is_form=isinstance(body, str),
                exchange=exchange,
            )
        )
    return found


def _with_its_length(raw: bytes) -> bytes:
    # Signatures were taken out of some bodies after the recording, so that they became shorter.
    head, _, body = raw.partition(b"\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    return re.sub(rb"Content-Length: \d+", length, head) + b"\r\n\r\n" + body


def count_neighbours(folder: Path) -> int:
    """How many there are, counted by other means."""
    return sum(
        re.search(
            r'"path": ?"(?!/api/v[12]/chat/completions["?])',
            path.with_suffix(".json").read_text("utf-8"),
        )
        is not None
        for path in (folder / "captures-4.14").glob("*.raw")
    )


# --- which function of the package each of them is ------------------------------------------------


def _histories(fields: dict[str, Any]) -> Call[Any]:
    offset = fields.get("offset", 0)
    return endpoints.histories(
        fields["appId"],
        source=fields.get("source"),
        offset=offset,
        page_size=fields.get("pageSize", 10),
    )


def _records(fields: dict[str, Any]) -> Call[Any]:
    return endpoints.records(
        fields["appId"],
        fields["chatId"],
        offset=fields.get("offset", 0),
        page_size=fields.get("pageSize", 10),
        custom_feedbacks=fields.get("loadCustomFeedbacks", False),
    )


def _records_around(fields: dict[str, Any]) -> Call[Any]:
    return endpoints.records_around(
        fields["appId"],
        fields["chatId"],
        around=fields.get("initialId"),
        before=fields.get("prevId"),
        after=fields.get("nextId"),
        page_size=fields.get("pageSize", 10),
        include_deleted=fields.get("includeDeleted", False),
        custom_feedbacks=fields.get("loadCustomFeedbacks", False),
    )


def _update(fields: dict[str, Any]) -> Call[Any]:
    return endpoints.update_chat(
        fields["appId"],
        fields["chatId"],
        custom_title=fields.get("customTitle"),
        pinned=fields.get("top"),
    )


def _feedback(fields: dict[str, Any]) -> Call[Any]:
    return endpoints.give_feedback(
        fields["appId"],
        fields["chatId"],
        fields["dataId"],
        good=fields.get("userGoodFeedback"),
        bad=fields.get("userBadFeedback"),
    )


def _quotes(fields: dict[str, Any]) -> Call[Any]:
    return endpoints.quotes(
        fields["appId"],
        fields["chatId"],
        fields["chatItemDataId"],
        quote_ids=fields["datasetDataIdList"],
        collection_ids=fields["collectionIdList"],
    )


def _collection_quotes(fields: dict[str, Any]) -> Call[Any]:
    return endpoints.collection_quotes(
        fields["appId"],
        fields["chatId"],
        fields["chatItemDataId"],
        fields["collectionId"],
        around=fields.get("initialId"),
        anchor=fields["anchor"],
        page_size=fields["pageSize"],
    )


def _speech(fields: dict[str, Any]) -> Call[Any]:
    config = fields["ttsConfig"]
    return endpoints.speech(
        fields["appId"],
        fields["input"],
        model=config["model"],
        voice=config["voice"],
        speed=config["speed"],
    )


def _questions(fields: dict[str, Any]) -> Call[Any]:
    guide = fields.get("questionGuide", {})
    return endpoints.suggested_questions(
        fields["appId"],
        fields["chatId"],
        model=guide.get("model"),
        prompt=guide.get("customPrompt"),
    )


#: By the end of the path: the function, and fields for it where the recorded ones are refused.
_FUNCTIONS: Mapping[str, tuple[Callable[[dict[str, Any]], Call[Any]], dict[str, Any]]] = {
    "chat/init": (lambda x: endpoints.chat_details(x["appId"], x["chatId"]), {}),
    "getHistories": (_histories, {}),
    "updateHistory": (_update, {"customTitle": "x"}),
    "delHistory": (lambda x: endpoints.delete_chat(x["appId"], x["chatId"]), {}),
    "clearHistories": (lambda x: endpoints.clear_histories(app_id=x["appId"]), {}),
    "batchDelete": (lambda x: endpoints.erase_chats(x["appId"], x["chatIds"]), {"chatIds": ["c"]}),
    "getHistoryStatus": (lambda x: endpoints.chat_statuses(x["appId"], x["chatIds"]), {}),
    "markRead": (lambda x: endpoints.mark_read(x["appId"], x["chatId"]), {}),
    "getPaginationRecords": (_records, {}),
    "getRecords_v2": (_records_around, {}),
    "getResData": (
        lambda x: endpoints.node_responses(x["appId"], x["chatId"], x["dataId"]),
        {"dataId": "d"},
    ),
    "item/delete": (
        lambda x: endpoints.delete_record(x["appId"], x["chatId"], x["contentId"]),
        {"contentId": "c"},
    ),
    "record/delete": (
        lambda x: endpoints.delete_record(x["appId"], x["chatId"], x["contentId"]),
        {},
    ),
    "getQuote": (_quotes, {}),
    "getCollectionQuote": (
        _collection_quotes,
        {"chatItemDataId": "d", "collectionId": "c", "anchor": 0, "pageSize": 5},
    ),
    "updateUserFeedback": (_feedback, {"dataId": "d"}),
    "getFeedbackRecordIds": (
        lambda x: endpoints.feedback_ids(
            x["appId"],
            x["chatId"],
            kind=x["feedbackType"],
            unread_only=x.get("unreadOnly", False),
        ),
        {"feedbackType": "good"},
    ),
    "updateFeedbackReadStatus": (
        lambda x: endpoints.mark_feedback_read(
            x["appId"], x["chatId"], x["dataId"], is_read=x["isRead"]
        ),
        {},
    ),
    "presignChatFilePostUrl": (
        lambda x: endpoints.upload_ticket(
            x["appId"], x["chatId"], x["filename"], content_type=x.get("contentType")
        ),
        {"filename": "a.txt"},
    ),
    "presignChatFileGetUrl": (
        lambda x: endpoints.file_url(x["appId"], x["chatId"], x["key"]),
        {"key": "k"},
    ),
    "getSpeech": (
        _speech,
        {"ttsConfig": {"model": "m", "voice": "v", "speed": 1}, "input": "x"},
    ),
    "audio/transcriptions": (
        lambda x: endpoints.transcription(x["appId"], b"sound", duration=3),
        {},
    ),
    "agent/createQuestionGuide": (
        lambda x: endpoints.suggested_questions_for(x["messages"]),
        {"messages": [{"role": "user", "content": "a"}]},
    ),
    "v2/createQuestionGuide": (_questions, {}),
    "openapi/health": (lambda x: endpoints.key_app(x["apiKey"]), {"apiKey": "k"}),
    "v2/chat/stop": (lambda x: endpoints.stop_run(x["appId"], x["chatId"]), {}),
}


def function_of(neighbour: Neighbour) -> str | None:
    """The path's end by which the package's function is found, or ``None`` if there is none."""
    ends = [end for end in _FUNCTIONS if neighbour.path.endswith("/" + end)]
    return max(ends, key=len) if ends else None


def call_of(neighbour: Neighbour) -> tuple[Call[Any] | None, bool]:
    """The package's call for a recorded one, and whether it was built from the recorded fields.

    What was recorded to see it refused is mostly refused by the package before it is sent; the
    answer is read by the same function all the same.
    """
    end = function_of(neighbour)
    if end is None:
        return None, False
    build, others = _FUNCTIONS[end]
    try:
        return build(neighbour.fields), not neighbour.is_form
    except (KeyError, f.InvalidArgumentError):
        return build({"appId": APP, "chatId": "c", **others}), False


# --- what the answer means ------------------------------------------------------------------------

_ERRORS: Mapping[str, type[f.APIError]] = {
    "unAuthApiKey": f.AuthenticationError,
    "unAuthorization": f.AuthenticationError,
    "unAuthChat": f.PermissionDeniedError,
    "unAuthDatasetFile": f.PermissionDeniedError,
    "appUnExist": f.NotFoundError,
    "unExistCollection": f.NotFoundError,
}


def error_of(neighbour: Neighbour) -> type[f.APIError] | None:
    """The class of the error that an answer is, or ``None`` if it is none."""
    if neighbour.is_html:
        return f.NotFoundError
    if neighbour.path.endswith("getSpeech") and neighbour.exchange.status == 200:
        return None
    payload = neighbour.payload
    if payload["code"] == 200:
        return None
    if payload["statusText"] in _ERRORS:
        return _ERRORS[payload["statusText"]]
    return f.ValidationError if payload["code"] == 400 else f.ServerError


def facts_of(neighbour: Neighbour) -> Any:
    """What a good answer tells, in plain values."""
    if neighbour.path.endswith("getSpeech"):
        return neighbour.exchange.body
    data = neighbour.data
    match function_of(neighbour):
        case "chat/init":
            app = data["app"]
            return (
                data["chatId"],
                data.get("title"),
                data.get("variables"),
                app["name"],
                app["type"],
                app["chatModels"],
                app["chatConfig"]["welcomeText"],
            )
        case "getHistories":
            rows = [
                (
                    row["chatId"],
                    row["customTitle"] or row["title"],
                    row["top"],
                    row["updateTime"].replace("Z", "+00:00"),
                )
                for row in data["list"]
            ]
            offset = neighbour.fields.get("offset", 0)
            return rows, data["total"], bool(rows) and offset + len(rows) < data["total"]
        case "getPaginationRecords" | "getRecords_v2":
            return [_record(row) for row in data["list"]], data["total"]
        case "getResData":
            return [(node["nodeId"], node["moduleName"], node.get("inputTokens")) for node in data]
        case "getQuote":
            return [(row["_id"], row["q"], row["a"]) for row in data]
        case "getCollectionQuote":
            return [(row["_id"], row["q"], row["a"]) for row in data["list"]]
        case "getFeedbackRecordIds":
            return data["dataIds"]
        case "updateFeedbackReadStatus" | "v2/chat/stop":
            return data["success"]
        case "presignChatFilePostUrl":
            return data["url"], data["key"], data["headers"], data["maxSize"]
        case "openapi/health":
            return data.get("appId")
        case "agent/createQuestionGuide" | "v2/createQuestionGuide":
            return data
        case "audio/transcriptions" | "presignChatFileGetUrl" | None:
            return data
        case _:
            assert data in (None, {}), neighbour.name
            return None


def _record(row: dict[str, Any]) -> Any:
    texts = [part["text"]["content"] for part in row["value"] if "text" in part]
    files = [part["file"]["key"] for part in row["value"] if "file" in part]
    asked = [part["interactive"] for part in row["value"] if "interactive" in part]
    waits = bool(asked) and "userSelectedVal" not in asked[-1]["params"]
    return (
        row["dataId"],
        {"Human": "user", "AI": "assistant"}[row["obj"]],
        "".join(texts),
        files,
        waits,
        row.get("durationSeconds"),
        row.get("userGoodFeedback"),
        row.get("userBadFeedback"),
        row.get("errorText", {}).get("errorText"),
        row.get("deleteTime") is not None,
    )


def seen_facts(neighbour: Neighbour, result: Any) -> Any:
    """The same of what the package made of it."""
    match function_of(neighbour):
        case "chat/init":
            assert isinstance(result, endpoints.ChatDetails)
            app = result.app
            variables = result.variables
            return (
                result.chat_id,
                result.title,
                variables,
                app.name,
                app.type,
                list(app.models),
                app.welcome_text,
            )
        case "getHistories":
            rows = [
                (
                    chat.chat_id,
                    chat.name,
                    chat.pinned,
                    cast("Any", chat.updated).isoformat(timespec="milliseconds"),
                )
                for chat in result.items
            ]
            return rows, result.total, result.next is not None
        case "getPaginationRecords" | "getRecords_v2":
            return [_seen_record(record) for record in result.items], result.total
        case "getResData":
            return [(node.node_id, node.name, node.input_tokens) for node in result]
        case "getQuote":
            return [(quote.id, quote.question, quote.answer) for quote in result]
        case "getCollectionQuote":
            return [(quote.id, quote.question, quote.answer) for quote in result.items]
        case "getFeedbackRecordIds" | "agent/createQuestionGuide" | "v2/createQuestionGuide":
            return list(result)
        case "v2/chat/stop":
            assert isinstance(result, endpoints.StopReport)
            return result.success
        case "presignChatFilePostUrl":
            assert isinstance(result, endpoints.UploadTicket)
            return result.url, result.key, result.headers, result.max_size
        case _:
            return result


def _seen_record(record: endpoints.Record) -> Any:
    return (
        record.data_id,
        record.role,
        record.text,
        [file.key for file in record.files],
        record.interactive is not None,
        record.duration,
        record.good_feedback,
        record.bad_feedback,
        record.error,
        record.deleted is not None,
    )
