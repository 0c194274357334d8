// Package peers runs a Chatstream server and another one side by side, at the
// same work, and says what each costs.
//
// Each benchmark starts both servers as processes of their own, connects the
// same number of subscribers to each, every one on its own connection, and gives
// them work in turns: a pair is one turn of ours and one of theirs, right after
// each other and in alternating order, because a machine drifts within minutes
// by more than what is to be seen. What is compared is what the operating system
// says of the server process: its CPU time for each delivery, and its resident
// memory for each idle connection; and the latency from the moment at which a
// message should have been sent to the one at which a subscriber has read it.
//
// The package's own client of each protocol reads frames by hand and does no
// more than it must to count: the clients share the machine with the server. It
// does count: a message that is missing, that comes twice or that comes in the
// wrong order fails the benchmark.
//
// README.md says what is equal between the servers and what is not.
package peers
