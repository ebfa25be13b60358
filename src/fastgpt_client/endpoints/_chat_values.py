"""Hold what the server tells about chats and their apps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from .._shapes import as_count, as_flag, as_object, as_objects, as_text, as_time, need_object


@attrs.frozen(kw_only=True)
class App:
    """Hold what an app tells about itself.

    :param name: its name.
    :param intro: what it says about itself.
    :param avatar: where its picture is.
    :param type: its kind, such as ``simple``, ``advanced`` or ``plugin``.
    :param models: the models that it calls.
    :param config: its chat settings as they came: ``welcomeText``, ``variables``, ``ttsConfig``,
        ``fileSelectConfig``, …
    :param plugin_inputs: what a plugin app takes as ``variables``.
    """

    name: str = ""
    intro: str = ""
    avatar: str = ""
    type: str = ""
    models: tuple[str, ...] = ()
    config: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
    plugin_inputs: tuple[Mapping[str, Any], ...] = attrs.field(default=(), repr=False, hash=False)

    @property
    def welcome_text(self) -> str:
        """What the app says before the first question."""
        return as_text(self.config.get("welcomeText"))


@attrs.frozen(kw_only=True)
class ChatDetails:
    """Hold a chat and its app.

    :param chat_id: the chat's id.
    :param app_id: the app's id.
    :param title: the chat's title, or ``None`` if the server does not know the chat, also while
        its first answer is being written (recorded, 4.14.7).
    :param variables: the chat's global variables, or ``None``.
    :param generating: whether an answer is being written, or ``None`` from servers that do not
        tell (4.14.7).
    :param has_been_read: whether the last answer was shown, or ``None``.
    :param app: the app.
    :param raw: the whole answer as it came.
    """

    chat_id: str
    app_id: str
    title: str | None = None
    variables: Mapping[str, Any] | None = attrs.field(default=None, repr=False, hash=False)
    generating: bool | None = None
    has_been_read: bool | None = None
    app: App
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def exists(self) -> bool:
        """Whether the server knows the chat."""
        return self.title is not None


@attrs.frozen(kw_only=True)
class Chat:
    """Hold one chat of a list.

    :param chat_id: the chat's id.
    :param app_id: the app's id.
    :param title: the title that the server gave.
    :param custom_title: the title that a user gave, or ``""``.
    :param pinned: whether it is pinned to the top.
    :param updated: when it was last used, or ``None``.
    :param generating: whether an answer is being written, or ``None`` from servers that do not
        tell (4.14.7).
    :param has_been_read: whether the last answer was shown, or ``None``.
    :param raw: the entry as it came.
    """

    chat_id: str
    app_id: str = ""
    title: str = ""
    custom_title: str = ""
    pinned: bool = False
    updated: datetime | None = None
    generating: bool | None = None
    has_been_read: bool | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def name(self) -> str:
        """The user's title, or else the server's."""
        return self.custom_title or self.title


def read_details(data: Any) -> ChatDetails:
    """Read a chat and its app.

    :param data: the decoded value.
    :raises ProtocolError: if it is no object.
    """
    found = need_object(data)
    app = as_object(found.get("app"))
    title, variables = found.get("title"), found.get("variables")
    models = app.get("chatModels")
    return ChatDetails(
        chat_id=as_text(found.get("chatId")),
        app_id=as_text(found.get("appId")),
        title=title if isinstance(title, str) else None,
        variables=variables if isinstance(variables, dict) else None,
        generating=_generating(found),
        has_been_read=as_flag(found.get("hasBeenRead")),
        app=App(
            name=as_text(app.get("name")),
            intro=as_text(app.get("intro")),
            avatar=as_text(app.get("avatar")),
            type=as_text(app.get("type")),
            models=tuple(filter(None, map(as_text, models))) if isinstance(models, list) else (),
            config=as_object(app.get("chatConfig")),
            plugin_inputs=tuple(as_objects(app.get("pluginInputs"))),
        ),
        raw=found,
    )


def read_chat(item: Mapping[str, Any]) -> Chat:
    """Read one chat of a list; a field of an unexpected type counts as absent.

    :param item: the decoded object.
    """
    return Chat(
        chat_id=as_text(item.get("chatId")),
        app_id=as_text(item.get("appId")),
        title=as_text(item.get("title")),
        custom_title=as_text(item.get("customTitle")),
        pinned=item.get("top") is True,
        updated=as_time(item.get("updateTime")),
        generating=_generating(item),
        has_been_read=as_flag(item.get("hasBeenRead")),
        raw=item,
    )


def _generating(found: Mapping[str, Any]) -> bool | None:
    # 0 generating, 1 done, 2 failed (FastGPT source, 4.16.0).
    status = as_count(found.get("chatGenerateStatus"))
    return None if status is None else status == 0
