package proto_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/chatstream/chatstream/proto/chatpb"
	_ "github.com/chatstream/chatstream/proto/chatstreampb"
	_ "github.com/chatstream/chatstream/proto/commandspb"
	_ "github.com/chatstream/chatstream/proto/loadpb"
	_ "github.com/chatstream/chatstream/proto/streampb"
)

// The tables below were written from the contract, not from the .proto files.
// One line is one field, enum value or rpc. A field that is part of a oneof
// names it after a slash. Change a line only when the contract itself was
// misread.

// messages maps the full name of a message to its fields:
// number name [repeated] type [/ oneof].
var messages = map[string]string{
	// The chat stream.
	"grpc_stream_chat.ChatToServerRequest": `
		1 request_full_message_info grpc_stream_chat.RequestFullMessageInfoRequest / client_request
		2 refresh_chat_stream grpc_stream_chat.RefreshChatStreamRequest / client_request
		500 testing_time_for_request_to_run_in_millis int64`,
	"grpc_stream_chat.RefreshChatStreamRequest": ``,
	"grpc_stream_chat.RequestFullMessageInfoRequest": `
		1 chat_room_id string
		2 message_uuid_list repeated grpc_stream_chat.MessageUUIDWithAmountOfMessage`,
	"grpc_stream_chat.MessageUUIDWithAmountOfMessage": `
		1 amount_of_messages_to_request AmountOfMessage
		2 message_uuid string`,
	"grpc_stream_chat.ChatToClientResponse": `
		1 initial_connection_primer_response grpc_stream_chat.InitialConnectionPrimerResponse / server_response
		2 initial_connection_messages_response grpc_stream_chat.InitialConnectionMessagesResponse / server_response
		3 initial_connection_messages_complete_response grpc_stream_chat.InitialConnectionMessagesCompleteResponse / server_response
		4 request_full_message_info_response grpc_stream_chat.RequestFullMessageInfoResponse / server_response
		5 refresh_chat_stream_response grpc_stream_chat.RefreshChatStreamResponse / server_response
		6 return_new_chat_message grpc_stream_chat.ReturnNewChatMessage / server_response`,
	"grpc_stream_chat.InitialConnectionPrimerResponse": `
		1 time_until_chat_stream_expires_in_millis int64`,
	"grpc_stream_chat.InitialConnectionMessagesResponse": `
		1 messages_list repeated ChatMessageToClient`,
	"grpc_stream_chat.InitialConnectionMessagesCompleteResponse": ``,
	"grpc_stream_chat.ReturnNewChatMessage": `
		1 messages_list repeated ChatMessageToClient`,
	"grpc_stream_chat.RefreshChatStreamResponse": `
		1 successfully_refreshed_time bool
		2 time_until_chat_stream_expires_in_millis int64`,
	"grpc_stream_chat.RequestFullMessageInfoResponse": `
		1 request_status grpc_stream_chat.RequestFullMessageInfoResponse.RequestStatus
		2 full_messages grpc_stream_chat.RequestMessageInfoMessage / message_list_type
		3 error_messages grpc_stream_chat.RequestMessageInfoErrorMessage / message_list_type
		4 chat_room_id string`,
	"grpc_stream_chat.RequestMessageInfoMessage": `
		1 full_message_list repeated ChatMessageToClient`,
	"grpc_stream_chat.RequestMessageInfoErrorMessage": `
		1 message_uuid_list repeated string`,

	// Messages.
	"ChatMessageToClient": `
		1 message_uuid string
		2 timestamp_stored int64
		3 current_timestamp int64
		4 only_store_message bool
		5 sent_by_account_id string
		6 message TypeOfChatMessage
		7 primer bool
		8 return_status ReturnStatus`,
	"TypeOfChatMessage": `
		1 message_specifics MessageSpecifics
		2 standard_message_info StandardChatMessageInfo`,
	"StandardChatMessageInfo": `
		1 chat_room_id_message_sent_from string
		2 amount_of_message AmountOfMessage
		3 message_has_complete_info bool
		4 do_not_update_user_state bool
		5 internal_force_send_message_to_current_user bool`,
	"MessageSpecifics": `
		1 text_message TextChatMessage / message_body
		2 picture_message PictureChatMessage / message_body
		3 location_message LocationChatMessage / message_body
		4 mime_type_message MimeTypeChatMessage / message_body
		5 invite_message InviteChatMessage / message_body
		6 edited_message EditedMessageChatMessage / message_body
		7 deleted_message DeletedMessageChatMessage / message_body
		8 user_kicked_message UserKickedChatMessage / message_body
		9 user_banned_message UserBannedChatMessage / message_body
		10 different_user_joined_message DifferentUserJoinedChatRoomChatMessage / message_body
		11 different_user_left_message DifferentUserLeftChatRoomChatMessage / message_body
		12 update_observed_time_message UpdateObservedTimeChatMessage / message_body
		13 this_user_joined_chat_room_start_message ThisUserJoinedChatRoomStartChatMessage / message_body
		14 this_user_joined_chat_room_member_message ThisUserJoinedChatRoomMemberChatMessage / message_body
		15 this_user_joined_chat_room_finished_message ThisUserJoinedChatRoomFinishedChatMessage / message_body
		16 this_user_left_chat_room_message ThisUserLeftChatRoomChatMessage / message_body
		17 user_activity_detected_message UserActivityDetectedChatMessage / message_body
		18 chat_room_name_updated_message ChatRoomNameUpdatedChatMessage / message_body
		19 chat_room_password_updated_message ChatRoomPasswordUpdatedChatMessage / message_body
		20 new_admin_promoted_message NewAdminPromotedChatMessage / message_body
		21 chat_room_cap_message ChatRoomCapMessage / message_body
		22 new_pinned_location_message NewPinnedLocationMessage / message_body
		500 match_canceled_message MatchCanceledChatMessage / message_body
		501 new_update_time_message NewUpdateTimeMessage / message_body
		1000 history_cleared_message ClientSpecificDoNotUseMessage / message_body
		1001 loading_message ClientSpecificDoNotUseMessage / message_body`,
	"TextChatMessage": `
		1 active_message_info ActiveMessageInfo
		2 message_text string
		3 is_edited bool
		4 edited_time int64`,
	"PictureChatMessage": `
		1 active_message_info ActiveMessageInfo
		2 picture_file_in_bytes bytes
		3 picture_file_size int32
		4 image_height int32
		5 image_width int32`,
	"LocationChatMessage": `
		1 active_message_info ActiveMessageInfo
		2 longitude double
		3 latitude double`,
	"MimeTypeChatMessage": `
		1 active_message_info ActiveMessageInfo
		2 image_height int32
		3 image_width int32
		4 url_of_download string
		5 mime_type string`,
	"InviteChatMessage": `
		1 active_message_info ActiveMessageInfo
		2 invited_user_account_oid string
		3 invited_user_name string
		4 chat_room_id string
		5 chat_room_name string
		6 chat_room_password string`,
	"EditedMessageChatMessage": `
		1 new_message string
		2 message_uuid string`,
	"DeletedMessageChatMessage": `
		1 delete_type DeleteType
		2 message_uuid string`,
	"UserKickedChatMessage":                  `1 kicked_account_oid string`,
	"UserBannedChatMessage":                  `1 banned_account_oid string`,
	"DifferentUserJoinedChatRoomChatMessage": `1 member_info ChatRoomMemberInfoMessage`,
	"DifferentUserLeftChatRoomChatMessage":   `1 new_admin_account_oid string`,
	"UpdateObservedTimeChatMessage":          `1 chat_room_last_observed_time int64`,
	"ThisUserJoinedChatRoomStartChatMessage": `1 chat_room_info ChatRoomInfoMessage`,
	"ThisUserJoinedChatRoomMemberChatMessage": `
		1 member_info ChatRoomMemberInfoMessage`,
	"ThisUserJoinedChatRoomFinishedChatMessage": `
		1 match_made_chat_room_oid string / automatic_join_type
		2 yes_swipe_event_oid string / automatic_join_type`,
	"ThisUserLeftChatRoomChatMessage":    ``,
	"UserActivityDetectedChatMessage":    ``,
	"ChatRoomNameUpdatedChatMessage":     `1 new_chat_room_name string`,
	"ChatRoomPasswordUpdatedChatMessage": `1 new_chat_room_password string`,
	"NewAdminPromotedChatMessage":        `1 promoted_account_oid string`,
	"ChatRoomCapMessage":                 ``,
	"NewPinnedLocationMessage": `
		1 longitude double
		2 latitude double`,
	"MatchCanceledChatMessage": `1 matched_account_oid string`,
	"NewUpdateTimeMessage": `
		1 message_timestamp_stored int64
		2 represented_message_uuid string`,
	"ClientSpecificDoNotUseMessage": ``,
	"ServerDownMessage":             ``,
	"ActiveMessageInfo": `
		1 is_deleted bool
		2 is_reply bool
		3 reply_info ReplyChatMessageInfo`,
	"ReplyChatMessageInfo": `
		1 reply_specifics ReplySpecifics
		2 reply_is_sent_from_user_oid string
		3 reply_is_to_message_uuid string`,
	"ReplySpecifics": `
		1 text_reply TextChatReplyMessage / reply_body
		2 picture_reply PictureReplyMessage / reply_body
		3 location_reply LocationReplyMessage / reply_body
		4 mime_reply MimeTypeReplyMessage / reply_body
		5 invite_reply InvitedReplyMessage / reply_body`,
	"TextChatReplyMessage": `1 message_text string`,
	"PictureReplyMessage": `
		1 thumbnail_in_bytes bytes
		2 thumbnail_file_size int32`,
	"LocationReplyMessage": ``,
	"MimeTypeReplyMessage": `
		1 thumbnail_in_bytes bytes
		2 thumbnail_file_size int32
		3 thumbnail_mime_type string`,
	"InvitedReplyMessage": ``,

	// Rooms and members.
	"ChatRoomInfoMessage": `
		1 chat_room_id string
		2 chat_room_name string
		3 chat_room_password string
		4 account_state AccountStateInChatRoom
		5 user_last_activity_time int64
		6 chat_room_last_activity_time int64
		7 chat_room_last_observed_time int64
		8 time_joined int64
		9 match_made_chat_room_oid string
		10 longitude_pinned_location double
		11 latitude_pinned_location double
		12 event_oid string
		13 qr_code_image_bytes bytes
		14 qr_code_message string
		15 qr_code_timestamp int64`,
	"ChatRoomMemberInfoMessage": `
		1 user_info MemberSharedInfoMessage
		2 account_last_activity_time int64
		3 account_state AccountStateInChatRoom`,
	"CreatedChatRoomInfo": `
		1 chat_room_id string
		2 chat_room_name string
		3 chat_room_password string
		4 chat_room_cap_message ChatMessageToClient
		5 current_user_joined_chat_message ChatMessageToClient
		6 last_activity_time_timestamp int64`,
	"MemberSharedInfoMessage": `
		1 account_oid string
		2 account_name string
		3 account_thumbnail bytes
		4 account_thumbnail_size int32
		5 account_thumbnail_index int32
		6 account_thumbnail_timestamp int64
		7 picture repeated PictureMessage
		8 pictures_checked_for_updates bool
		9 age int32
		10 gender string
		11 city_name string
		12 bio string
		13 distance double
		14 activities repeated CategoryActivityMessage
		15 current_timestamp int64
		16 timestamp_other_user_info_updated int64
		17 account_type UserAccountType
		18 letsgo_event_status LetsGoEventStatus
		19 created_by string
		21 event_title string`,
	"PictureMessage": `
		1 file_in_bytes bytes
		2 file_size int32
		3 index_number int32
		4 pic_height int32
		5 pic_width int32
		6 timestamp_picture_last_updated int64
		7 picture_oid string`,
	"CategoryActivityMessage": `
		1 activity_index int32
		2 time_frame_array repeated CategoryTimeFrameMessage`,
	"CategoryTimeFrameMessage": `
		1 start_time_frame int64
		2 stop_time_frame int64`,
	"OtherUserInfoForUpdates": `
		1 account_oid string
		2 account_state AccountStateInChatRoom
		3 thumbnail_size_in_bytes int32
		4 thumbnail_index_number int32
		5 thumbnail_timestamp int64
		6 first_name string
		7 age int32
		8 member_info_last_updated_timestamp int64
		9 pictures_last_updated_timestamps repeated PictureIndexInfo
		10 event_status LetsGoEventStatus
		11 event_title string`,
	"PictureIndexInfo": `
		1 index_number int32
		2 last_updated_timestamp int64`,
	"UpdateOtherUserResponse": `
		1 return_status ReturnStatus
		2 user_info MemberSharedInfoMessage
		3 timestamp_returned int64
		4 account_state AccountStateInChatRoom
		5 match_still_valid bool
		6 account_last_activity_time int64`,
	"LoginToServerBasicInfo": `
		1 admin_info_used bool
		2 lets_go_version uint32
		3 current_account_id string
		4 logged_in_token string
		5 installation_id string
		6 admin_name string
		7 admin_password string`,
	"UserMatchOptionsRequest": `
		1 login_info LoginToServerBasicInfo
		2 match_account_id string
		3 response_type ResponseType
		4 report_reason ReportReason
		5 other_info string
		6 chat_room_id string
		7 message_UUID string
		8 report_origin ReportOriginType`,
	"UserMatchOptionsResponse": `
		1 return_status ReturnStatus
		2 timestamp int64`,

	// The chat room commands.
	"grpc_chat_commands.ClientMessageToServerRequest": `
		1 login_info LoginToServerBasicInfo
		2 message_uuid string
		3 message TypeOfChatMessage
		4 timestamp_observed int64`,
	"grpc_chat_commands.ClientMessageToServerResponse": `
		1 return_status ReturnStatus
		2 user_not_in_chat_room bool
		3 timestamp_stored int64
		4 picture_oid string`,
	"grpc_chat_commands.CreateChatRoomRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_name string`,
	"grpc_chat_commands.CreateChatRoomResponse": `
		1 return_status ReturnStatus
		2 chat_room_id string
		3 chat_room_name string
		4 chat_room_password string
		5 chat_room_cap_message ChatMessageToClient
		6 current_user_joined_chat_message ChatMessageToClient
		7 last_activity_time_timestamp int64
		8 chat_room_info CreatedChatRoomInfo`,
	"grpc_chat_commands.JoinChatRoomRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 chat_room_password string`,
	"grpc_chat_commands.JoinChatRoomResponse": `
		1 messages_list repeated ChatMessageToClient
		2 chat_room_status grpc_chat_commands.ChatRoomStatus`,
	"grpc_chat_commands.LeaveChatRoomRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string`,
	"grpc_chat_commands.LeaveChatRoomResponse": `
		1 return_status ReturnStatus
		2 timestamp_stored int64`,
	"grpc_chat_commands.RemoveFromChatRoomRequest": `
		1 login_info LoginToServerBasicInfo
		2 message_uuid string
		3 kick_or_ban grpc_chat_commands.RemoveFromChatRoomRequest.KickOrBan
		4 chat_room_id string
		5 account_id_to_remove string`,
	"grpc_chat_commands.RemoveFromChatRoomResponse": `
		1 return_status ReturnStatus
		2 operation_failed bool
		3 timestamp_stored int64`,
	"grpc_chat_commands.PromoteNewAdminRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 new_admin_account_oid string
		4 message_uuid string`,
	"grpc_chat_commands.PromoteNewAdminResponse": `
		1 return_status ReturnStatus
		2 user_account_states_matched bool
		3 timestamp_message_stored int64`,
	"grpc_chat_commands.UpdateChatRoomInfoRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 type_of_info_to_update grpc_chat_commands.UpdateChatRoomInfoRequest.ChatRoomTypeOfInfoToUpdate
		4 new_chat_room_info string
		5 message_uuid string`,
	"grpc_chat_commands.UpdateChatRoomInfoResponse": `
		1 return_status ReturnStatus
		2 operation_failed bool
		3 timestamp_message_stored int64`,
	"grpc_chat_commands.SetPinnedLocationRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 new_pinned_longitude double
		4 new_pinned_latitude double
		5 message_uuid string`,
	"grpc_chat_commands.SetPinnedLocationResponse": `
		1 return_status ReturnStatus
		2 operation_failed bool
		3 timestamp_message_stored int64`,
	"grpc_chat_commands.UnMatchRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 matched_account_oid string`,
	"grpc_chat_commands.UnMatchResponse": `
		1 return_status ReturnStatus
		2 timestamp int64`,
	"grpc_chat_commands.BlockAndReportChatRoomRequest": `
		1 match_options_request UserMatchOptionsRequest
		2 chat_room_id string
		3 un_match bool`,
	"grpc_chat_commands.UnblockOtherUserRequest": `
		1 login_info LoginToServerBasicInfo
		2 user_to_unblock_account_id string`,
	"grpc_chat_commands.UnblockOtherUserResponse": `
		1 return_status ReturnStatus
		2 timestamp int64`,
	"grpc_chat_commands.UpdateSingleChatRoomMemberRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 chat_room_member_info OtherUserInfoForUpdates`,
	"grpc_chat_commands.UpdateChatRoomRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 chat_room_name string
		4 chat_room_password string
		5 chat_room_last_activity_time int64
		6 chat_room_last_updated_time int64
		7 chat_room_member_info repeated OtherUserInfoForUpdates
		8 pinned_location_longitude double
		9 pinned_location_latitude double
		10 qr_code_last_timestamp int64
		11 event_oid string`,
	"grpc_chat_commands.UpdateChatRoomResponse": `
		1 chat_messages_list grpc_chat_commands.ChatMessagesList / MessageUpdate
		2 chat_room_info grpc_chat_commands.UpdateChatRoomInfo / MessageUpdate
		3 user_activity_message grpc_chat_commands.UpdateTimestampForUserActivityMessage / MessageUpdate
		4 member_response UpdateOtherUserResponse / MessageUpdate
		5 response_addendum grpc_chat_commands.UpdateChatRoomAddendum / MessageUpdate
		6 return_status ReturnStatus / MessageUpdate
		7 qr_code grpc_chat_commands.UpdateQrCode / MessageUpdate
		8 event_response UpdateOtherUserResponse / MessageUpdate`,
	"grpc_chat_commands.ChatMessagesList": `
		1 messages_list repeated ChatMessageToClient`,
	"grpc_chat_commands.UpdateChatRoomInfo": `
		1 chat_room_name string
		2 chat_room_password string
		3 chat_room_last_activity_time int64
		4 pinned_location_longitude double
		5 pinned_location_latitude double
		6 event_oid string`,
	"grpc_chat_commands.UpdateTimestampForUserActivityMessage": `
		1 user_exists_in_chat_room bool
		2 timestamp_returned int64`,
	"grpc_chat_commands.UpdateChatRoomAddendum": `
		1 current_timestamp int64
		2 pictures_checked_for_updates bool`,
	"grpc_chat_commands.UpdateQrCode": `
		1 qr_code_image_bytes bytes
		2 qr_code_message string
		3 qr_code_time_updated int64`,

	// The load of a server.
	"retrieve_server_load.RetrieveServerLoadRequest": `
		1 request_num_clients bool`,
	"retrieve_server_load.RetrieveServerLoadResponse": `
		1 accepting_connections bool
		2 num_clients int32`,

	// Our own.
	"chatstream.v1.CreateAccountRequest": `
		1 name string
		2 password string`,
	"chatstream.v1.CreateAccountResponse": `
		1 account_id string`,
	"chatstream.v1.LoginRequest": `
		1 name string
		2 password string
		3 installation_id string`,
	"chatstream.v1.LoginResponse": `
		1 account_id string
		2 logged_in_token string
		3 token_expires_at_ms int64`,
	"chatstream.v1.LogoutRequest":  `1 login_info LoginToServerBasicInfo`,
	"chatstream.v1.LogoutResponse": ``,
	"chatstream.v1.Position": `
		1 chat_room_id string
		2 seq uint64
		3 timestamp_stored int64`,
	"chatstream.v1.Bookmark": `1 positions repeated chatstream.v1.Position`,
	"chatstream.v1.GoAway": `
		1 reason chatstream.v1.GoAway.Reason
		2 retry_after_millis int64
		3 servers repeated string`,
	"chatstream.v1.Confirmation": `1 positions repeated chatstream.v1.Position`,
	"chatstream.v1.GetDeliveryRequest": `
		1 login_info LoginToServerBasicInfo
		2 chat_room_id string
		3 account_ids repeated string`,
	"chatstream.v1.GetDeliveryResponse": `
		1 last_seq uint64
		2 devices repeated chatstream.v1.DeviceDelivery`,
	"chatstream.v1.DeviceDelivery": `
		1 account_id string
		2 device string
		3 online bool
		4 reached_seq uint64
		5 confirmed_seq uint64`,
}

// additions maps the full name of an inherited message to the fields that we
// have added to it.
var additions = map[string]string{
	"grpc_stream_chat.ChatToServerRequest": `1000 confirmation chatstream.v1.Confirmation / client_request`,
	"grpc_stream_chat.ChatToClientResponse": `
		1000 bookmark chatstream.v1.Bookmark / server_response
		1001 go_away chatstream.v1.GoAway / server_response`,
	"ChatMessageToClient": `
		1000 seq uint64
		1001 previous_seq uint64`,
	"retrieve_server_load.RetrieveServerLoadResponse": `1000 servers repeated string`,
	"ThisUserJoinedChatRoomStartChatMessage":          `1000 position_lost bool`,
	"ChatRoomCapMessage": `
		1000 chat_room_name string
		1001 chat_room_password string`,
}

// enums maps the full name of an enum to its values: number name.
var enums = map[string]string{
	"ReturnStatus": `
		0 VALUE_NOT_SET
		1 SUCCESS
		20 LOGGED_IN_ELSEWHERE
		21 NOT_ENOUGH_INFO
		22 LOGIN_TOKEN_EXPIRED
		23 NO_VERIFIED_ACCOUNT
		24 LOGIN_TOKEN_DID_NOT_MATCH
		25 ACCOUNT_SUSPENDED
		26 ACCOUNT_BANNED
		27 FUNCTION_CALLED_TOO_QUICKLY
		28 SUBSCRIPTION_REQUIRED
		40 INVALID_USER_OID
		41 INVALID_LOGIN_TOKEN
		42 OUTDATED_VERSION
		43 INVALID_INSTALLATION_ID
		44 INVALID_PARAMETER_PASSED
		45 CORRUPTED_FILE
		60 DATABASE_DOWN
		61 LG_ERROR
		80 UNKNOWN`,
	"AmountOfMessage": `
		0 ONLY_SKELETON
		10 ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE
		20 COMPLETE_MESSAGE_INFO`,
	"DeleteType": `
		0 DELETE_TYPE_NOT_SET
		10 DELETED_ON_CLIENT
		20 DELETE_FOR_SINGLE_USER
		30 DELETE_FOR_ALL_USERS`,
	"AccountStateInChatRoom": `
		0 ACCOUNT_STATE_BANNED
		1 ACCOUNT_STATE_EVENT
		10 ACCOUNT_STATE_NOT_IN_CHAT_ROOM
		20 ACCOUNT_STATE_IN_CHAT_ROOM
		30 ACCOUNT_STATE_IS_ADMIN
		40 ACCOUNT_STATE_IS_SUPER_ADMIN`,
	// The value 0 cannot be called UNKNOWN: that name is taken by ReturnStatus,
	// and enum values without a package share one scope.
	"UserAccountType": `
		0 UNKNOWN_ACCOUNT_TYPE
		1 USER_ACCOUNT_TYPE
		1000 ADMIN_GENERATED_EVENT_TYPE
		1001 USER_GENERATED_EVENT_TYPE`,
	"LetsGoEventStatus": `
		0 UNKNOWN_EVENT_STATUS
		1 NOT_AN_EVENT
		2 ONGOING
		3 COMPLETED
		4 CANCELED`,
	"ResponseType": `
		0 USER_MATCH_OPTION_CONNECTION_ERR
		1 USER_MATCH_OPTION_YES
		2 USER_MATCH_OPTION_NO
		3 USER_MATCH_OPTION_BLOCK
		4 USER_MATCH_OPTION_REPORT`,
	"ReportReason": `
		0 REPORT_REASON_UNKNOWN_DEFAULT
		1 REPORT_REASON_OTHER
		2 REPORT_REASON_LANGUAGE
		3 REPORT_REASON_INAPPROPRIATE_PICTURE
		4 REPORT_REASON_ADVERTISING`,
	"ReportOriginType": `
		0 REPORT_ORIGIN_SWIPING
		1 REPORT_ORIGIN_CHAT_ROOM_INFO
		2 REPORT_ORIGIN_CHAT_ROOM_MEMBER
		3 REPORT_ORIGIN_CHAT_ROOM_MESSAGE
		4 REPORT_ORIGIN_CHAT_ROOM_MATCH_MADE`,
	"grpc_stream_chat.StreamDownReasons": `
		0 UNKNOWN_STREAM_STOP_REASON
		1 RETURN_STATUS_ATTACHED
		2 STREAM_TIMED_OUT
		3 STREAM_CANCELED_BY_ANOTHER_STREAM
		4 SERVER_SHUTTING_DOWN`,
	"grpc_stream_chat.RequestFullMessageInfoResponse.RequestStatus": `
		0 FINAL_MESSAGE_LIST
		1 INTERMEDIATE_MESSAGE_LIST
		2 CURRENTLY_PROCESSING_UPDATE_REQUEST
		3 DATABASE_DOWN
		4 USER_NOT_A_MEMBER_OF_CHAT_ROOM
		5 LG_SERVER_ERROR`,
	"grpc_chat_commands.ChatRoomStatus": `
		0 SUCCESSFULLY_JOINED
		1 ACCOUNT_WAS_BANNED
		2 ALREADY_IN_CHAT_ROOM
		3 CHAT_ROOM_DOES_NOT_EXIST
		4 INVALID_CHAT_ROOM_ID
		5 INVALID_CHAT_ROOM_PASSWORD
		6 USER_TOO_YOUNG_FOR_CHAT_ROOM`,
	"grpc_chat_commands.ValidRequestInfo": `
		0 INVALID_CHAT_ROOM_ID_PASSED
		1 INVALID_REQUEST_DATA_PASSED
		2 ACCOUNT_ID_WAS_NOT_IN_CHAT_ROOM
		3 CHAT_ROOM_DOES_NOT_EXIST_ON_SERVER
		4 CHAT_ROOM_ADMIN_REQUIRED
		5 SUCCESS`,
	"grpc_chat_commands.RemoveFromChatRoomRequest.KickOrBan": `
		0 KICK
		1 BAN`,
	"grpc_chat_commands.UpdateChatRoomInfoRequest.ChatRoomTypeOfInfoToUpdate": `
		0 UPDATE_CHAT_ROOM_NAME
		1 UPDATE_CHAT_ROOM_PASSWORD`,
}

// services maps the full name of a service to its rpcs:
// name [stream] request -> [stream] response.
var services = map[string]string{
	"grpc_stream_chat.StreamChatService": `
		StreamChatRPC stream grpc_stream_chat.ChatToServerRequest -> stream grpc_stream_chat.ChatToClientResponse`,
	"grpc_chat_commands.ChatRoomMessagesService": `
		BlockAndReportChatRoomRPC grpc_chat_commands.BlockAndReportChatRoomRequest -> UserMatchOptionsResponse
		ClientMessageToServerRPC grpc_chat_commands.ClientMessageToServerRequest -> grpc_chat_commands.ClientMessageToServerResponse
		CreateChatRoomRPC grpc_chat_commands.CreateChatRoomRequest -> grpc_chat_commands.CreateChatRoomResponse
		JoinChatRoomRPC grpc_chat_commands.JoinChatRoomRequest -> stream grpc_chat_commands.JoinChatRoomResponse
		LeaveChatRoomRPC grpc_chat_commands.LeaveChatRoomRequest -> grpc_chat_commands.LeaveChatRoomResponse
		PromoteNewAdminRPC grpc_chat_commands.PromoteNewAdminRequest -> grpc_chat_commands.PromoteNewAdminResponse
		RemoveFromChatRoomRPC grpc_chat_commands.RemoveFromChatRoomRequest -> grpc_chat_commands.RemoveFromChatRoomResponse
		SetPinnedLocationRPC grpc_chat_commands.SetPinnedLocationRequest -> grpc_chat_commands.SetPinnedLocationResponse
		UnMatchRPC grpc_chat_commands.UnMatchRequest -> grpc_chat_commands.UnMatchResponse
		UnblockOtherUserRPC grpc_chat_commands.UnblockOtherUserRequest -> grpc_chat_commands.UnblockOtherUserResponse
		UpdateChatRoomInfoRPC grpc_chat_commands.UpdateChatRoomInfoRequest -> grpc_chat_commands.UpdateChatRoomInfoResponse
		UpdateChatRoomRPC grpc_chat_commands.UpdateChatRoomRequest -> stream grpc_chat_commands.UpdateChatRoomResponse
		UpdateSingleChatRoomMemberRPC grpc_chat_commands.UpdateSingleChatRoomMemberRequest -> UpdateOtherUserResponse`,
	"retrieve_server_load.RetrieveServerLoadService": `
		RetrieveServerLoadRPC retrieve_server_load.RetrieveServerLoadRequest -> retrieve_server_load.RetrieveServerLoadResponse`,
	"chatstream.v1.AccountService": `
		CreateAccount chatstream.v1.CreateAccountRequest -> chatstream.v1.CreateAccountResponse
		Login chatstream.v1.LoginRequest -> chatstream.v1.LoginResponse
		Logout chatstream.v1.LogoutRequest -> chatstream.v1.LogoutResponse`,
	"chatstream.v1.DeliveryService": `
		GetDelivery chatstream.v1.GetDeliveryRequest -> chatstream.v1.GetDeliveryResponse`,
}

const (
	// ownPackage is where additions go.
	ownPackage = "chatstream.v1"

	// firstOwnField is the first field number for additions to an inherited
	// message.
	firstOwnField = 1000
)

func TestMessagesMatchTheContract(t *testing.T) {
	got := map[string]string{}
	for file := range files() {
		for message := range allMessages(file.Messages()) {
			name := string(message.FullName())
			_, inherited := messages[name]
			inherited = inherited && file.Package() != ownPackage
			got[name] = describeMessage(message, func(f protoreflect.FieldDescriptor) bool {
				return !inherited || f.Number() < firstOwnField || inContract(message, f)
			})
		}
	}
	compare(t, messages, got)
}

func TestAdditionsAreWhatTheyWere(t *testing.T) {
	got := map[string]string{}
	for file := range files() {
		if file.Package() == ownPackage {
			continue
		}
		for message := range allMessages(file.Messages()) {
			own := describeMessage(message, func(f protoreflect.FieldDescriptor) bool {
				return f.Number() >= firstOwnField && !inContract(message, f)
			})
			if own != "" {
				got[string(message.FullName())] = own
			}
		}
	}
	compare(t, additions, got)
}

func TestEnumsMatchTheContract(t *testing.T) {
	got := map[string]string{}
	add := func(list protoreflect.EnumDescriptors) {
		for i := range list.Len() {
			got[string(list.Get(i).FullName())] = describeEnum(list.Get(i))
		}
	}
	for file := range files() {
		add(file.Enums())
		for message := range allMessages(file.Messages()) {
			add(message.Enums())
		}
	}
	compare(t, enums, got)
}

func TestServicesMatchTheContract(t *testing.T) {
	got := map[string]string{}
	for file := range files() {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			got[string(service.FullName())] = describeService(service)
		}
	}
	compare(t, services, got)
}

// TestSharedTypesHaveNoPackage guards the names seen in Any, JSON and
// reflection: the shared types have no package, and nothing else has none.
func TestSharedTypesHaveNoPackage(t *testing.T) {
	for file := range files() {
		if shared := strings.HasPrefix(file.Path(), "chat/"); shared != (file.Package() == "") {
			t.Errorf("%s is in package %q", file.Path(), file.Package())
		}
	}
}

func compare(t *testing.T, want, got map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, ok := got[name]
		if !ok {
			t.Errorf("%s is in the contract but not in the .proto files", name)
			continue
		}
		if wanted := trimLines(want[name]); have != wanted {
			t.Errorf("%s differs from the contract\nwant\n%s\ngot\n%s", name, wanted, have)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok && !strings.HasPrefix(name, ownPackage+".") {
			t.Errorf("%s is not in the contract: additions belong to package %s", name, ownPackage)
		}
	}
}

// files yields the files of this tree that are linked into the test.
func files() func(yield func(protoreflect.FileDescriptor) bool) {
	folders := []string{"chat/", "chatstream/", "grpc_chat_commands/", "grpc_stream_chat/", "retrieve_server_load/"}
	return func(yield func(protoreflect.FileDescriptor) bool) {
		protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
			ours := slices.ContainsFunc(folders, func(folder string) bool {
				return strings.HasPrefix(file.Path(), folder)
			})
			return !ours || yield(file)
		})
	}
}

// allMessages yields the messages of a list and those nested in them.
func allMessages(list protoreflect.MessageDescriptors) func(yield func(protoreflect.MessageDescriptor) bool) {
	return func(yield func(protoreflect.MessageDescriptor) bool) {
		for i := range list.Len() {
			if !yield(list.Get(i)) {
				return
			}
			for nested := range allMessages(list.Get(i).Messages()) {
				if !yield(nested) {
					return
				}
			}
		}
	}
}

// describeMessage writes the fields of a message that are wanted as the tables do.
func describeMessage(message protoreflect.MessageDescriptor, wanted func(protoreflect.FieldDescriptor) bool) string {
	var fields []protoreflect.FieldDescriptor
	for i := range message.Fields().Len() {
		if field := message.Fields().Get(i); wanted(field) {
			fields = append(fields, field)
		}
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number() - b.Number()) })

	var lines []string
	for _, field := range fields {
		line := fmt.Sprintf("%d %s ", field.Number(), field.Name())
		if field.Cardinality() != protoreflect.Optional {
			line += field.Cardinality().String() + " "
		}
		if field.HasOptionalKeyword() {
			line += "optional "
		}
		switch {
		case field.Message() != nil:
			line += string(field.Message().FullName())
		case field.Enum() != nil:
			line += string(field.Enum().FullName())
		default:
			line += field.Kind().String()
		}
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			line += " / " + string(oneof.Name())
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// inContract reports whether the table gives the field's number a meaning, so
// that an addition cannot take over or hide 1000 and 1001 of MessageSpecifics.
func inContract(message protoreflect.MessageDescriptor, field protoreflect.FieldDescriptor) bool {
	number := strconv.Itoa(int(field.Number())) + " "
	for line := range strings.Lines(trimLines(messages[string(message.FullName())])) {
		if strings.HasPrefix(line, number) {
			return true
		}
	}
	return false
}

func describeEnum(enum protoreflect.EnumDescriptor) string {
	var lines []string
	for i := range enum.Values().Len() {
		value := enum.Values().Get(i)
		lines = append(lines, fmt.Sprintf("%d %s", value.Number(), value.Name()))
	}
	return strings.Join(lines, "\n")
}

func describeService(service protoreflect.ServiceDescriptor) string {
	side := func(streaming bool, message protoreflect.MessageDescriptor) string {
		if streaming {
			return "stream " + string(message.FullName())
		}
		return string(message.FullName())
	}
	var lines []string
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		lines = append(lines, fmt.Sprintf("%s %s -> %s", method.Name(),
			side(method.IsStreamingClient(), method.Input()),
			side(method.IsStreamingServer(), method.Output())))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func trimLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
