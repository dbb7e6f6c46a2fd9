import Testing
import ZeroMQ

@Suite struct LibraryTests {
    @Test func theLoadedLibraryIsNewEnough() throws {
        #expect(ZMQLibrary.version >= ZMQLibrary.minimumVersion)
        try ZMQLibrary.requireSupported()
        #expect(ZMQLibrary.has(.ipc))
    }

    @Test(arguments: [(4, 3, 2), (4, 2, 9), (3, 9, 9)])
    func olderOnesAreRefused(_ version: (Int, Int, Int)) {
        let old = ZMQLibrary.Version(version.0, version.1, version.2)
        let failure = #expect(throws: ZMQError.self) { try ZMQLibrary.requireSupported(old) }
        #expect(failure?.code == .unsupportedLibrary)
        #expect(failure?.description.contains("\(old)") == true)
        #expect(failure?.description.contains("4.3.3") == true)
    }

    @Test(arguments: [(4, 3, 3), (4, 3, 10), (4, 10, 0), (5, 0, 0)])
    func newerOnesAreTaken(_ version: (Int, Int, Int)) throws {
        try ZMQLibrary.requireSupported(.init(version.0, version.1, version.2))
    }

    @Test func timeLimitsRoundUp() {
        #expect(TimeLimit(.microseconds(1)).milliseconds == 1)
        #expect(TimeLimit(.milliseconds(5)).milliseconds == 5)
        #expect(TimeLimit(.microseconds(5001)).milliseconds == 6)
        #expect(TimeLimit(.seconds(-3)).milliseconds == 0)
        #expect(TimeLimit(.seconds(1 << 40)).milliseconds == Int32.max)
        #expect(TimeLimit.unlimited.milliseconds == nil)
        #expect(TimeLimit.seconds(2).description == "2000 ms")
    }

    @Test func errorsSayWhatWhereAndWhatToDo() {
        let error = ZMQError(.addressInUse, "bind", subject: "tcp://127.0.0.1:7400")
        #expect(error.description.hasPrefix("bind tcp://127.0.0.1:7400: "))
        #expect(error.description.contains("choose another port"))
    }
}
