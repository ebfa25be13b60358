"""Run the consumers of one stream in a task group of one's own."""

import anyio

from fastgpt_client import AsyncChatClient, NodeStatus, Policy, Subscription
from fastgpt_client.consumers import print_text


async def show_nodes(events: Subscription) -> None:
    async for event in events:
        match event:
            case NodeStatus(node_name=node):
                print(f"[{node}]")


async def show_progress(events: Subscription) -> None:
    async for event in events:
        print(f"event {event.index}, {events.dropped} skipped")


async def main() -> None:
    # The first failure cancels the others, as in any task group.
    async with (
        AsyncChatClient() as client,
        client.stream("Tell me a short story") as reply,
        anyio.create_task_group() as group,
    ):
        group.start_soon(print_text, reply.subscribe())
        group.start_soon(show_nodes, reply.subscribe())
        group.start_soon(show_progress, reply.subscribe(Policy.live(buffer=1)))


if __name__ == "__main__":
    anyio.run(main)
