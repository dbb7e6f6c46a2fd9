import MerlinSimulator
import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("A detector that is away, silent or started anew") struct Detector {
        @Test("requests keep their deadlines while the detector does not answer, and the server stops all the same")
        func silentControlSocket() async throws {
            // It takes connections and says nothing.
            let silent = try TCPListener(host: "127.0.0.1", port: 0)
            let data = try TCPListener(host: "127.0.0.1", port: 0)
            let delay = try MachineDelay()
            var stopped = ContinuousClock.now
            try await Bench.serve(Bench.serverConfiguration(controlPort: silent.port, dataPort: data.port)) {
                _, endpoints in
                let client = try await Bench.connect(endpoints)
                try await onThread {
                    let peer = try Stranger(.dealer, port: endpoints.controlPort)
                    let began = ContinuousClock.now
                    // The first keeps the others waiting: they are told at their own deadlines, not at its.
                    for deadline in [3000, 300, 600] as [UInt32] {
                        var detector = WireDetectorRequest()
                        detector.get = "COUNTERDEPTH"
                        var request = Control.request("\(deadline)", .detector(detector))
                        request.deadlineMs = deadline
                        try peer.send(request)
                    }
                    for deadline in [300, 600] {
                        let reply = try peer.reply()
                        #expect(reply.id == "\(deadline)" && reply.failure.code == "timedOut")
                        #expect(ContinuousClock.now - began < .milliseconds(deadline + 300) + delay.sum)
                        #expect(ContinuousClock.now - began >= .milliseconds(deadline - 5))
                    }
                    // Others are answered meanwhile.
                    #expect(try peer.ask(Control.request("s", .status(.init()))).status.state == "idle")
                }
                await client.close()
                stopped = .now
            }
            #expect(ContinuousClock.now - stopped < .seconds(2) + delay.sum)
        }

        @Test("without a detector the server says why; when it comes, all goes on; so when it is started anew")
        func comesAndGoes() async throws {
            let ports = try freePorts(3)
            try await Bench.serve(Bench.serverConfiguration(controlPort: ports[0], dataPort: ports[1])) {
                server, endpoints in
                let client = try await Bench.connect(endpoints, waitsForDetector: false)
                _ = try await eventually("the reason") {
                    let status = try await client.status()
                    #expect(status.state == "disconnected" && !status.detector.dataConnected)
                    return status.detector.reason.contains("\(ports[1])") ? true : nil
                }
                await #expect { try await client.arm() } throws: {
                    ($0 as? ControlFailure)?.code == .detectorUnreachable
                }
                let delay = try MachineDelay()
                let asked = ContinuousClock.now
                await #expect {
                    for try await _ in client.tiles() {}
                } throws: { error in
                    if case .nobodySends? = error as? SubscriptionError { true } else { false }
                }
                #expect(ContinuousClock.now - asked < .milliseconds(1500) + delay.sum)

                let events = client.events()
                try await events.subscribed()
                for start in 0..<2 {
                    var configuration = Bench.simulatorConfiguration()
                    (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (
                        ports[0], ports[1], ports[2]
                    )
                    configuration.dwellMicroseconds = 500
                    let simulator = try MerlinSimulator(configuration)
                    let detector = try simulator.start()
                    let bench = Bench(simulator: simulator, detector: detector, server: server, endpoints: endpoints)
                    defer { simulator.stop() }
                    try await eventually("a connection to the detector") {
                        try await client.status().detector.dataConnected ? () : nil
                    }
                    let stream = client.tiles(options: .init(repair: true))
                    try await stream.subscribed()
                    try await client.startScan()
                    let whole = try #require(try await Seen.follow(stream, bench.pattern).first)
                    expectComplete(whole, frames: 64)
                    #expect(whole.start?.generation == UInt64(2 * start + 1))
                    // And it dies in the middle of a scan.
                    let cut = client.tiles(options: .init(repair: true, untilEnd: true))
                    try await cut.subscribed()
                    try await client.startScan()
                    try await eventually("some frames") {
                        let acquisition = try await client.status().acquisition
                        return acquisition.generation == UInt64(2 * start + 2) && acquisition.accounting.placed > 4
                            ? () : nil
                    }
                    simulator.stop()
                    let part = try #require(try await Seen.follow(cut, bench.pattern).first)
                    #expect(part.end?.reason == .connectionClosed && part.misplaced == [])
                    #expect(part.end?.accounting.isBalanced == true && part.frames.count == part.end?.accounting.placed)
                    try await eventually("a lost detector") {
                        try await client.status().state == "disconnected" ? () : nil
                    }
                }
                let codes = try await within("events of two detectors") {
                    var codes: [String] = []
                    for try await case .event(let event) in events where !event.code.hasPrefix("detector.control") {
                        codes.append(event.code)
                        if codes.count == 4 { break }
                    }
                    return codes
                }
                #expect(
                    codes == [
                        "detector.connected", "detector.disconnected", "detector.connected", "detector.disconnected",
                    ])
                await client.close()
            }
        }
    }
}
