import MerlinProtocol
import StemwireSystem
import Testing

@testable import MerlinSimulator

@Suite(.serialized) struct HostileClientTests {
    /// Whether a whole acquisition still comes.
    private func works(_ detector: TestDetector) throws -> Bool {
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        _ = control.ask("CMD,RESET")
        guard control.ask("CMD,STARTACQUISITION") == "CMD,STARTACQUISITION,0" else { return false }
        _ = control.ask("CMD,SOFTTRIGGER")
        let messages = data.messages(21)
        control.connection.shutdown()
        data.connection.shutdown()
        return messages.last?.number == 20
    }

    @Test(arguments: [0, 1, 2]) func randomBytesHarmNoPort(index: Int) throws {
        let detector = try TestDetector()
        let port = [detector.ports.control, detector.ports.data, detector.ports.trigger][index]
        var random = RandomSource(seed: UInt64(index))
        for _ in 0..<50 {
            let connection = try TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(5))
            connection.setSendTimeout(.seconds(5))
            var bytes: [UInt8] = []
            for _ in 0..<200 {
                let body = FaultPlan.garbage(seed: random.next(), count: random.below(24))
                if random.chance(0.5) { bytes += MPXPrefix.encoded(bodyBytes: body.count) }
                bytes += body
            }
            // A detector that closes the connection may do so.
            _ = try? bytes.withUnsafeBytes { try connection.send($0) }
            if random.chance(0.3) { connection.resetOnClose() }
            connection.shutdown()
        }
        #expect(try works(detector))
    }

    @Test func vanishingAndSleepingClientsHoldNothingUp() throws {
        let detector = try TestDetector(.constant(1), frames: [200, 200])
        do {
            let control = try ControlClient(detector.ports)
            let data = try DataClient(detector.ports)
            _ = control.ask("SET,TRIGGERSTART,0")
            _ = control.ask("CMD,STARTACQUISITION")
            #expect(data.next() != nil)
            data.connection.resetOnClose()
        }
        let control = try ControlClient(detector.ports)
        while control.ask("GET,DETECTORSTATUS") != "GET,DETECTORSTATUS,0,0" {}
        // A client that never reads: the detector waits for it, and can still be spoken to and stopped.
        let sleeper = try DataClient(detector.ports)
        #expect(control.ask("SET,NUMFRAMESTOACQUIRE,0") == "SET,NUMFRAMESTOACQUIRE,0")
        #expect(control.ask("CMD,STARTACQUISITION") == "CMD,STARTACQUISITION,0")
        #expect(control.ask("GET,DETECTORSTATUS") == "GET,DETECTORSTATUS,1,0")
        let start = ContinuousClock.now
        detector.simulator.stop()
        #expect(ContinuousClock.now - start < .seconds(1))
        withExtendedLifetime(sleeper) {}
    }

    @Test func stopEndsEveryWaitAtOnce() throws {
        let configurations: [(inout SimulatorConfiguration) -> Void] = [
            { _ in },
            { $0.dwellMicroseconds = 1e7 },
            { $0.faults.stall = .init(frame: 1, duration: .seconds(100)) },
            { $0.faults.trickle = .init(frame: 1, duration: .seconds(100)) },
            { $0.faults.ending = (1, .halfClose) },
        ]
        for change in configurations {
            let detector = try TestDetector(change: change)
            let control = try ControlClient(detector.ports)
            let idle = try ControlClient(detector.ports)
            let data = try DataClient(detector.ports)
            let trigger = try TCPConnection.connect(
                host: "127.0.0.1", port: detector.ports.trigger, timeout: .seconds(5))
            _ = control.ask("SET,NUMFRAMESTOACQUIRE,0")
            _ = control.ask("SET,NUMFRAMESPERTRIGGER,1000000000")
            _ = control.ask("CMD,STARTACQUISITION")
            #expect(data.next()?.kind == .acquisitionHeader)
            try trigger.send("TRIGGER\n")
            let start = ContinuousClock.now
            detector.simulator.stop()
            #expect(ContinuousClock.now - start < .seconds(1))
            #expect(try detector.simulator.waitUntilFinished(timeout: .seconds(1)))
            withExtendedLifetime(idle) {}
        }
        // Without any client, and twice.
        let detector = try TestDetector()
        detector.simulator.stop()
        detector.simulator.stop()
    }
}
