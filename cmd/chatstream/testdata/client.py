"""A chat client in another language, generated from the .proto files.

usage: client.py ADDRESS NAME PASSWORD INSTALLATION ROOM ROOM_PASSWORD COUNT

It logs in, joins the room, opens the chat stream from where the join ended,
prints "ready", then one line "TIME UUID TEXT" for each text until it has COUNT
of them, asks for the last one in full and prints "full TEXT", leaves the room,
half closes the stream and prints "end REASON".
"""

import queue
import sys

import grpc

from chat import login_pb2, return_status_pb2
from chatstream.v1 import account_pb2, account_pb2_grpc
from grpc_chat_commands import chat_room_commands_pb2 as commands
from grpc_chat_commands import chat_room_commands_pb2_grpc as commands_grpc
from grpc_stream_chat import chat_stream_pb2 as stream_pb2
from grpc_stream_chat import chat_stream_pb2_grpc as stream_grpc

TIMEOUT = 60


def say(*words):
    print(*words, flush=True)


def main(address, name, password, installation, room, room_password, count):
    channel = grpc.insecure_channel(address)
    account = account_pb2_grpc.AccountServiceStub(channel).Login(
        account_pb2.LoginRequest(name=name, password=password, installation_id=installation), timeout=TIMEOUT)
    info = login_pb2.LoginToServerBasicInfo(
        lets_go_version=3, current_account_id=account.account_id,
        logged_in_token=account.logged_in_token, installation_id=installation)
    rooms = commands_grpc.ChatRoomMessagesServiceStub(channel)

    joined = -1
    parts = rooms.JoinChatRoomRPC(
        commands.JoinChatRoomRequest(login_info=info, chat_room_id=room, chat_room_password=room_password), timeout=TIMEOUT)
    for part in parts:
        for m in part.messages_list:
            if m.primer and (m.return_status != return_status_pb2.SUCCESS or part.chat_room_status != commands.SUCCESSFULLY_JOINED):
                sys.exit("not joined: %s" % part)
            joined = max(joined, m.timestamp_stored)
    say("joined", joined)

    requests = queue.Queue()
    stream = stream_grpc.StreamChatServiceStub(channel).StreamChatRPC(iter(requests.get, None), metadata=(
        ("current_account_id", account.account_id), ("logged_in_token", account.logged_in_token),
        ("lets_go_version", "3"), ("installation_id", installation),
        ("chat_room_values", "%s::%d::%d::0::" % (room, joined, joined))))
    got = 0
    for response in stream:
        kind = response.WhichOneof("server_response")
        if kind == "initial_connection_messages_complete_response":
            say("ready")
        elif kind == "request_full_message_info_response":
            full = response.request_full_message_info_response.full_messages.full_message_list[0]
            say("full", full.message.message_specifics.text_message.message_text)
            rooms.LeaveChatRoomRPC(commands.LeaveChatRoomRequest(login_info=info, chat_room_id=room), timeout=TIMEOUT)
            requests.put(None)  # half close
        elif kind == "return_new_chat_message":
            for m in response.return_new_chat_message.messages_list:
                if m.message.message_specifics.WhichOneof("message_body") != "text_message":
                    continue
                say(m.timestamp_stored, m.message_uuid, m.message.message_specifics.text_message.message_text)
                got += 1
                if got == count:
                    requests.put(stream_pb2.ChatToServerRequest(request_full_message_info=stream_pb2.RequestFullMessageInfoRequest(
                        chat_room_id=room, message_uuid_list=[stream_pb2.MessageUUIDWithAmountOfMessage(
                            message_uuid=m.message_uuid, amount_of_messages_to_request=20)])))
    trailing = dict(stream.trailing_metadata())
    say("end", trailing.get("stream_down_reason"))

    # A refusal is told in the trailing metadata too.
    refused = stream_grpc.StreamChatServiceStub(channel).StreamChatRPC(iter([]), metadata=(
        ("current_account_id", account.account_id), ("logged_in_token", "0" * 24),
        ("lets_go_version", "3"), ("installation_id", installation)))
    for response in refused:
        sys.exit("a wrong token is accepted: %s" % response)
    trailing = dict(refused.trailing_metadata())
    say("refused", trailing.get("stream_down_reason"), trailing.get("return_status"))
    channel.close()


main(*sys.argv[1:7], int(sys.argv[7]))
