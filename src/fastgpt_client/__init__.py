"""Stream answers from FastGPT under structured concurrency, on trio and on asyncio."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import endpoints
    from ._answer import Answer, Status, Timings, ToolUse
    from ._around import PageIterator
    from ._attachments import UploadedFile, assistant, data_url, system, user
    from ._blocking_conversation import BlockingConversation
    from ._blocking_reply import BlockingReply
    from ._blocking_responses import ChatResponse
    from ._blocking_subscription import BlockingSubscription
    from ._call import Call, Page
    from ._client import AsyncChatClient
    from ._content import Content, File
    from ._conversation import Conversation
    from ._errors import (
        APIError,
        AuthenticationError,
        BadEventError,
        ChatBusyError,
        ConnectError,
        FastGPTError,
        InvalidArgumentError,
        NotAnEventStreamError,
        NotFoundError,
        PermissionDeniedError,
        ProtocolError,
        QuotaExceededError,
        RateLimitError,
        ReplyInterruptedError,
        ReplyTimeoutError,
        ReplyTooLargeError,
        ServerError,
        TransportError,
        UsageError,
        ValidationError,
        WorkflowError,
    )
    from ._events import (
        AnswerDelta,
        ChatTitle,
        Event,
        FastAnswer,
        FlowResponses,
        FormField,
        Interactive,
        NodeResponse,
        NodeStatus,
        Option,
        Plan,
        PlanStatus,
        PlanStep,
        Question,
        QuestionOption,
        ResumeCompleted,
        ResumePhase,
        ResumeUnavailable,
        SandboxStatus,
        SkillCall,
        ToolCall,
        ToolParams,
        ToolResponse,
        UnknownEvent,
        VariablesUpdated,
        WorkflowDuration,
    )
    from ._limits import Policy, Timeouts
    from ._messages import Message
    from ._nodes import Node, Usage
    from ._reply import Reply
    from ._responses import AsyncChatResponse
    from ._subscription import Subscription, SubscriptionStatistics
    from ._sync import ChatClient

__all__ = [
    "APIError",
    "Answer",
    "AnswerDelta",
    "AsyncChatClient",
    "AsyncChatResponse",
    "AuthenticationError",
    "BadEventError",
    "BlockingConversation",
    "BlockingReply",
    "BlockingSubscription",
    "Call",
    "ChatBusyError",
    "ChatClient",
    "ChatResponse",
    "ChatTitle",
    "ConnectError",
    "Content",
    "Conversation",
    "Event",
    "FastAnswer",
    "FastGPTError",
    "File",
    "FlowResponses",
    "FormField",
    "Interactive",
    "InvalidArgumentError",
    "Message",
    "Node",
    "NodeResponse",
    "NodeStatus",
    "NotAnEventStreamError",
    "NotFoundError",
    "Option",
    "Page",
    "PageIterator",
    "PermissionDeniedError",
    "Plan",
    "PlanStatus",
    "PlanStep",
    "Policy",
    "ProtocolError",
    "Question",
    "QuestionOption",
    "QuotaExceededError",
    "RateLimitError",
    "Reply",
    "ReplyInterruptedError",
    "ReplyTimeoutError",
    "ReplyTooLargeError",
    "ResumeCompleted",
    "ResumePhase",
    "ResumeUnavailable",
    "SandboxStatus",
    "ServerError",
    "SkillCall",
    "Status",
    "Subscription",
    "SubscriptionStatistics",
    "Timeouts",
    "Timings",
    "ToolCall",
    "ToolParams",
    "ToolResponse",
    "ToolUse",
    "TransportError",
    "UnknownEvent",
    "UploadedFile",
    "Usage",
    "UsageError",
    "ValidationError",
    "VariablesUpdated",
    "WorkflowDuration",
    "WorkflowError",
    "assistant",
    "data_url",
    "endpoints",
    "system",
    "user",
]

# A name is imported when it is first asked for: a program that asks for the asynchronous client
# does not wait for the blocking one, and one that only asks for an error waits for neither. A test
# compares this with the imports above.
_HOMES = {
    name: module
    for module, names in {
        "_answer": ("Answer", "Status", "Timings", "ToolUse"),
        "_around": ("PageIterator",),
        "_attachments": ("UploadedFile", "assistant", "data_url", "system", "user"),
        "_blocking_conversation": ("BlockingConversation",),
        "_blocking_reply": ("BlockingReply",),
        "_blocking_responses": ("ChatResponse",),
        "_blocking_subscription": ("BlockingSubscription",),
        "_call": ("Call", "Page"),
        "_client": ("AsyncChatClient",),
        "_content": ("Content", "File"),
        "_conversation": ("Conversation",),
        "_errors": (
            "APIError",
            "AuthenticationError",
            "BadEventError",
            "ChatBusyError",
            "ConnectError",
            "FastGPTError",
            "InvalidArgumentError",
            "NotAnEventStreamError",
            "NotFoundError",
            "PermissionDeniedError",
            "ProtocolError",
            "QuotaExceededError",
            "RateLimitError",
            "ReplyInterruptedError",
            "ReplyTimeoutError",
            "ReplyTooLargeError",
            "ServerError",
            "TransportError",
            "UsageError",
            "ValidationError",
            "WorkflowError",
        ),
        "_events": (
            "AnswerDelta",
            "ChatTitle",
            "Event",
            "FastAnswer",
            "FlowResponses",
            "FormField",
            "Interactive",
            "NodeResponse",
            "NodeStatus",
            "Option",
            "Plan",
            "PlanStatus",
            "PlanStep",
            "Question",
            "QuestionOption",
            "ResumeCompleted",
            "ResumePhase",
            "ResumeUnavailable",
            "SandboxStatus",
            "SkillCall",
            "ToolCall",
            "ToolParams",
            "ToolResponse",
            "UnknownEvent",
            "VariablesUpdated",
            "WorkflowDuration",
        ),
        "_limits": ("Policy", "Timeouts"),
        "_messages": ("Message",),
        "_nodes": ("Node", "Usage"),
        "_reply": ("Reply",),
        "_responses": ("AsyncChatResponse",),
        "_subscription": ("Subscription", "SubscriptionStatistics"),
        "_sync": ("ChatClient",),
    }.items()
    for name in names
}


if not TYPE_CHECKING:  # else a misspelled name would pass as Any

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        elif name == "endpoints":
            value = import_module(".endpoints", __name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
