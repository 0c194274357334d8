// Package mongotest starts real MongoDB servers for tests: replica sets of one
// member, which take half a second, or of three, with ports and directories of
// their own. They end with the test process, whatever ends it.
//
// The server is found by the environment variable CHATSTREAM_TEST_MONGOD, or in
// PATH; without one a test is skipped. A package's tests share one set, with a
// database for each test:
//
//	var mongod mongotest.Shared
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		mongod.Stop()
//		os.Exit(code)
//	}
//
//	func TestSomething(t *testing.T) {
//		uri, database := mongod.URI(t), mongotest.Database()
//		...
//	}
package mongotest
