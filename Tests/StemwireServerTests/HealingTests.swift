import MerlinSimulator
import StemwireAcquisition
import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("A detector connection that heals itself") struct Healing {
        /// Within this time the server says what is wrong with its detector.
        static let limit = Duration.seconds(2)

        /// A detector behind a network that can fail.
        struct Field {
            let bench: Bench
            let control: TCPRelay
            let data: TCPRelay
            let client: StemwireConnection

            /// Waits for a status, and checks that it came in time.
            func says(
                _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ isSo: (WireStatus) -> Bool
            ) async throws {
                let delay = try MachineDelay()
                let began = ContinuousClock.now
                try await eventually(what) { isSo(try await client.status()) ? () : nil }
                #expect(
                    ContinuousClock.now - began <= limit + delay.sum, "\(what)", sourceLocation: sourceLocation)
            }

            /// Does what ends an acquisition without a frame, and waits until its end has been told, so that the next who
            /// listens is not told of it.
            func sees(endOf what: String, by act: () async throws -> Void) async throws {
                let stream = client.tiles(options: .init(untilEnd: true))
                try await stream.subscribed()
                try await act()
                let end = try await Seen.follow(stream, bench.pattern).first?.end
                #expect(end?.reason == .aborted && end?.accounting.placed == 0, "\(what)")
            }

            /// A scan that is right, though nobody has touched anything.
            func scansWell(sourceLocation: SourceLocation = #_sourceLocation) async throws {
                try await eventually("both connections") {
                    let status = try await client.status()
                    return status.detector.dataConnected && status.detector.controlConnected ? () : nil
                }
                let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                try await stream.subscribed()
                try await client.startScan()
                let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                expectComplete(seen, frames: 64, sourceLocation: sourceLocation)
            }
        }

        static func run(
            simulator change: (inout SimulatorConfiguration) -> Void = { _ in }, _ body: (Field) async throws -> Void
        ) async throws {
            var configuration = Bench.simulatorConfiguration()
            change(&configuration)
            let simulator = try MerlinSimulator(configuration)
            let detector = try simulator.start()
            defer { simulator.stop() }
            let (control, data) = (try TCPRelay(to: detector.control), try TCPRelay(to: detector.data))
            defer {
                control.stop()
                data.stop()
            }
            try await Bench.serve(Bench.serverConfiguration(controlPort: control.port, dataPort: data.port)) {
                server, endpoints in
                let bench = Bench(simulator: simulator, detector: detector, server: server, endpoints: endpoints)
                let client = try await bench.connect()
                try await body(Field(bench: bench, control: control, data: data, client: client))
                await client.close()
            }
        }

        @Test("control hangs: said within 2 s, with data still connected; then all goes on")
        func controlHangs() async throws {
            try await Self.run { field in
                try await field.scansWell()
                field.control.become(.hold)
                try await field.says("a control socket that does not answer") {
                    !$0.detector.controlConnected && $0.detector.dataConnected
                        && $0.detector.controlReason.contains("no answer")
                }
                #expect(try await field.client.status().detector.sigShape.isEmpty)
                await #expect { try await field.client.arm(deadline: .milliseconds(300)) } throws: {
                    ($0 as? ControlFailure)?.code == .timedOut
                }
                field.control.become(.pass)
                try await field.says("a control socket that answers") { $0.detector.controlConnected }
                // The arming that timed out was carried out all the same; the server sees to it.
                try await field.says("a detector that is free") { $0.state == "idle" && !$0.detector.busy }
                try await field.scansWell()
            }
        }

        @Test("armed, and ended by another program: the server says so, and the next scan is right")
        func endedElsewhere() async throws {
            try await Self.run { field in
                try await field.scansWell()
                _ = try await field.client.arm()
                try await eventually("an armed detector") {
                    let status = try await field.client.status()
                    return status.state == "armed" && status.detector.busy ? () : nil
                }
                let other = MerlinControl(host: "127.0.0.1", port: field.bench.detector.control)
                try await field.sees(endOf: "an acquisition that another program has aborted") {
                    try other.command("ABORT", timeout: .seconds(10))
                    try await field.says("a detector that is not armed any more") {
                        $0.state == "idle" && !$0.detector.busy
                    }
                }
                try await field.scansWell()
            }
        }

        @Test("control is cut, or talks nonsense: told apart, and data goes on")
        func controlLost() async throws {
            try await Self.run { field in
                field.control.become(.cut)
                try await field.says("a lost control socket") {
                    !$0.detector.controlConnected && $0.detector.dataConnected && $0.state == "idle"
                }
                await #expect { try await field.client.detectorGet("GAIN", deadline: .seconds(1)) } throws: {
                    ($0 as? ControlFailure)?.code == .detectorUnreachable
                }
                field.control.become(.garble)
                try await field.says("nonsense") { $0.detector.controlReason.contains("makes no sense") }
                await #expect { try await field.client.detectorGet("GAIN", deadline: .milliseconds(500)) } throws: {
                    ($0 as? ControlFailure)?.code == .detectorNonsense
                }
                field.control.become(.pass)
                try await field.scansWell()
            }
        }

        @Test("data is cut in the middle of a scan: its end says so, control goes on, and the next scan is right")
        func dataLost() async throws {
            try await Self.run(simulator: { $0.dwellMicroseconds = 15_000 }) { field in
                let stream = field.client.tiles(options: .init(repair: true, untilEnd: true))
                try await stream.subscribed()
                try await field.client.startScan()
                try await eventually("some frames") {
                    try await field.client.status().acquisition.accounting.placed > 4 ? () : nil
                }
                field.data.become(.cut)
                let seen = try #require(try await Seen.follow(stream, field.bench.pattern).first)
                #expect(seen.end?.reason == .connectionClosed && seen.misplaced == [])
                try await field.says("a lost data connection") {
                    $0.state == "disconnected" && $0.detector.controlConnected && !$0.detector.reason.isEmpty
                }
                field.data.become(.pass)
                try await field.scansWell()
            }
        }

        @Test(
            "a detector that is gone without a word is noticed by itself, and the next scan is right",
            .enabled(if: TCPRelay.canVanish, "needs the right to close a connection without a FIN (CAP_NET_ADMIN)"))
        func vanished() async throws {
            try await Self.run(simulator: { $0.dwellMicroseconds = 15_000 }) { field in
                try await field.client.startScan()
                try await eventually("some frames") {
                    try await field.client.status().acquisition.accounting.placed > 4 ? () : nil
                }
                let (delay, began) = (try MachineDelay(), ContinuousClock.now)
                field.data.become(.vanish)
                field.control.become(.vanish)
                // Control is asked again and again; of data, which may be silent for hours, the system asks the peer's.
                try await field.says("a lost control socket") { !$0.detector.controlConnected }
                let status = try await eventually("a lost data connection") {
                    let status = try await field.client.status()
                    return status.state == "disconnected" ? status : nil
                }
                let seconds = ContinuousClock.now - began
                print("a detector gone without a word: control and data known to be lost after \(seconds)")
                #expect(seconds <= DetectorLink.lossLimit + .seconds(1) + delay.sum)
                #expect(
                    !status.detector.reason.isEmpty
                        && ["idle", "connectionClosed"].contains(status.previousAcquisition.endReason))
                field.data.become(.pass)
                field.control.become(.pass)
                try await field.scansWell()
            }
        }

        @Test(
            "data that says nothing in the middle of a scan while control works: its end says so, and the next scan is right"
        )
        func dataSilent() async throws {
            try await Self.run(simulator: { $0.dwellMicroseconds = 15_000 }) { field in
                try await field.client.startScan()
                try await eventually("some frames") {
                    try await field.client.status().acquisition.accounting.placed > 4 ? () : nil
                }
                field.data.become(.hold)
                let end = try await field.client.waitForEnd(deadline: .seconds(20))
                #expect(end.endReason == "idle" && end.accounting.missing > 0)
                #expect(
                    end.accounting.placed + end.accounting.missing + end.accounting.rejected == end.accounting.expected)
                let status = try await field.client.status()
                #expect(status.detector.dataConnected && status.detector.controlConnected)
                // What was held up comes late, and belongs to no scan any more.
                field.data.become(.pass)
                try await field.scansWell()
            }
        }

        @Test("what is no detector's data is told as such, and read all the same")
        func nonsenseInTheData() async throws {
            try await Self.run { field in
                field.data.become(.garble)
                try await field.client.startScan()
                try await field.says("nonsense in the data") { $0.detector.reason.contains("no Merlin data stream") }
                try await field.client.abort()
                field.data.become(.pass)
                try await field.scansWell()
                try await field.says("nothing wrong any more") { $0.detector.reason.isEmpty }
            }
        }

        @Test("a detector that says it is busy, and of which nothing comes, is reset by the next arming")
        func stuckDetector() async throws {
            try await Self.run { field in
                field.data.become(.swallow)
                try await onThread { [bench = field.bench] in
                    let other = MerlinControl(host: "127.0.0.1", port: bench.detector.control)
                    try other.command("STARTACQUISITION")
                }
                try await eventually("a busy detector") { try await field.client.status().detector.busy ? () : nil }
                try await eventually("swallowed bytes") { field.data.swallowed.load(ordering: .relaxed) > 0 ? () : nil }
                field.data.become(.pass)
                try await field.client.arm()
                #expect(try await field.client.status().state == "armed")
                try await field.sees(endOf: "an aborted acquisition") { try await field.client.abort() }
                try await field.scansWell()
            }
        }

        @Test("what a detector said of itself does not outlive it")
        func factsOfARestartedDetector() async throws {
            let ports = try freePorts(3)
            func simulator(_ sig: Int) throws -> MerlinSimulator {
                var configuration = Bench.simulatorConfiguration(sig: sig)
                (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (
                    ports[0], ports[1], ports[2]
                )
                let simulator = try MerlinSimulator(configuration)
                try simulator.start()
                return simulator
            }
            try await Bench.serve(Bench.serverConfiguration(controlPort: ports[0], dataPort: ports[1])) {
                _, endpoints in
                let client = try await Bench.connect(endpoints, waitsForDetector: false)
                for sig in [16, 32] {
                    let detector = try simulator(sig)
                    defer { detector.stop() }
                    let status = try await eventually("what the detector says of itself") {
                        let status = try await client.status().detector
                        return status.sigShape.isEmpty || !status.dataConnected ? nil : status
                    }
                    #expect(status.sigShape == [UInt32(sig), UInt32(sig)] && status.counterDepth == 12)
                    #expect(status.dtype == "uint16" && status.softwareVersion == "Stemwire simulator")
                    detector.stop()
                    try await eventually("nothing of a detector that is gone") {
                        let status = try await client.status()
                        if status.state == "disconnected", !status.detector.controlConnected {
                            #expect(status.detector.sigShape.isEmpty && status.detector.counterDepth == 0)
                            return ()
                        }
                        return nil
                    }
                }
                await client.close()
            }
        }

        @Test(
            "somebody else at the data port is named",
            arguments: [
                ("SSH-2.0-OpenSSH_9.2\r\n", "an SSH server"), ("220 mail ESMTP\r\n", "a mail or file server"),
            ])
        func foreignPeer(greeting: String, name: String) async throws {
            let listener = try TCPListener(host: "127.0.0.1", port: 0)
            let peers = try NamedThread("foreign") {
                while let connection = listener.accept(timeout: .seconds(30)) {
                    try? connection.send(greeting)
                    _ = connection.waitReadable(timeout: .seconds(1))
                }
            }
            defer {
                listener.shutdown()
                peers.join()
            }
            try await Bench.serve(Bench.serverConfiguration(controlPort: 1, dataPort: listener.port)) { _, endpoints in
                let client = try await Bench.connect(endpoints, waitsForDetector: false)
                try await eventually("the name of the peer") {
                    let status = try await client.status()
                    return status.state == "disconnected" && status.detector.reason.contains(name) ? () : nil
                }
                await client.close()
            }
        }
    }
}

@Suite struct LinkWatchTests {
    @Test("pauses grow while connections bring nothing, and are short after a good one")
    func backOff() {
        var watch = LinkWatch()
        var now = ContinuousClock.now
        var traffic = LinkWatch.Traffic()
        var pauses: [Duration] = []
        for _ in 0..<6 {
            _ = watch.connected(to: "d", traffic, at: now)
            now += .milliseconds(10)
            pauses.append(watch.lost("closed", traffic, at: now).pause)
        }
        #expect(pauses.first == LinkWatch.firstPause && pauses.last == LinkWatch.longestPause)
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $0 <= $1 })
        _ = watch.connected(to: "d", traffic, at: now)
        traffic.messages += 1
        let pause = watch.lost("closed", traffic, at: now).pause
        #expect(pause == LinkWatch.firstPause && watch.connections == 7)
    }

    @Test("the same reason is told once, and again after a connection")
    func news() {
        var watch = LinkWatch()
        let now = ContinuousClock.now
        let told = (0..<3).map { _ in watch.lost("refused", .init(), at: now).change }
        #expect(told[0]?.text == "refused" && told[1] == nil && told[2] == nil)
        let other = watch.lost("no route", .init(), at: now).change
        #expect(other != nil && watch.reason == "no route")
        let connected = watch.connected(to: "d", .init(), at: now)
        let lost = watch.lost("no route", .init(), at: now).change
        #expect(connected?.isConnected == true && lost?.isConnected == false)
    }

    @Test func peersAreRecognised() {
        #expect(ForeignPeer.recognise(Array("MPX,0000000021,".utf8)) == nil)
        #expect(ForeignPeer.recognise([0, 0, 0, 0]) == nil && ForeignPeer.recognise([]) == nil)
        #expect(ForeignPeer.recognise(Array("HTTP/1.1 400".utf8)) == "a web server")
        #expect(ForeignPeer.recognise([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F])?.contains("ZeroMQ") == true)
    }
}
