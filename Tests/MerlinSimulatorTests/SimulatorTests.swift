import Glibc
import MerlinProtocol
import StemwireSystem
import Testing

@testable import MerlinSimulator

@Suite struct SimulatorTests {
    @Test func armedItSendsTheHeaderAndAfterTheTriggerTheFrames() throws {
        let detector = try TestDetector()
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        #expect(control.ask("GET,DETECTORSTATUS,0") == "GET,DETECTORSTATUS,0,0")
        for acquisition in 0..<3 as Range<UInt16> {
            #expect(control.ask("CMD,STARTACQUISITION") == "CMD,STARTACQUISITION,0")
            let header = try #require(data.next()?.header)
            #expect(header.framesInAcquisition == 20)
            #expect(header.scanX == 5 && header.scanY == 4)
            #expect(data.isSilent)
            #expect(control.ask("SET,COUNTERDEPTH,12") == "SET,COUNTERDEPTH,1")
            #expect(control.ask("CMD,SOFTTRIGGER") == "CMD,SOFTTRIGGER,0")
            let frames = data.messages(20)
            #expect(frames.map(\.number) == Array(1...20))
            let identities = frames.map { TestDetector.pattern.identify(Array($0.payload)) }
            #expect(identities == (0..<20).map { .init(acquisition: acquisition, frame: $0) })
        }
        #expect(data.isSilent)
        #expect(detector.simulator.statistics.runs == 3)
        #expect(detector.simulator.statistics.frames == 60)
        #expect(data.garbage == 0)
    }

    @Test func stopEndsAnEndlessAcquisitionAndTheNextIsWhole() throws {
        let detector = try TestDetector { $0.isContinuous = true }
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        for command in ["STOPACQUISITION", "ABORT"] {
            _ = control.ask("SET,TRIGGERSTART,0")
            _ = control.ask("SET,NUMFRAMESTOACQUIRE,0")
            _ = control.ask("CMD,STARTACQUISITION")
            #expect(data.next()?.header?.framesInAcquisition == 0)
            #expect(data.messages(50).map(\.number) == Array(1...50))
            #expect(control.ask("CMD,\(command)") == "CMD,\(command),0")
            #expect(control.ask("SET,NUMFRAMESTOACQUIRE,7") == "SET,NUMFRAMESTOACQUIRE,0")
            #expect(control.ask("CMD,STARTACQUISITION") == "CMD,STARTACQUISITION,0")
            // What was on its way comes whole, then the new acquisition.
            var number: UInt64 = 50
            var message = data.next()
            while let frame = message, frame.kind == .frame {
                number += 1
                #expect(frame.number == number)
                message = data.next()
            }
            #expect(message?.header?.framesInAcquisition == 7)
            #expect(data.messages(7).map(\.number) == Array(1...7))
        }
        #expect(data.garbage == 0)
    }

    @Test func depthAndFormatChangeWhatIsSent() throws {
        let detector = try TestDetector(.constant(1), frames: [2]) { $0.sigShape = SigShape(height: 256, width: 256) }
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        for (depth, format, type, bytes) in [
            (1, 0, PixelType.u08, 65536), (12, 1, .u16, 131_072), (12, 2, .r64, 131_072), (24, 2, .r64, 262_144),
            (1, 2, .r64, 8192),
        ] {
            #expect(control.ask("SET,COUNTERDEPTH,\(depth)") == "SET,COUNTERDEPTH,0")
            #expect(control.ask("SET,FILEFORMAT,\(format)") == "SET,FILEFORMAT,0")
            _ = control.ask("CMD,STARTACQUISITION")
            #expect(data.next()?.header?.counterDepth?.rawValue == depth)
            _ = control.ask("CMD,SOFTTRIGGER")
            for frame in data.messages(2) {
                let format = try frame.body.withUnsafeBytes {
                    try FrameFormat(header: $0, payloadBytes: bytes, acquisitionDepth: nil)
                }
                #expect(format.pixelType == type && format.counterDepth?.rawValue == depth)
                #expect(format.sigShape == SigShape(height: 256, width: 256))
                #expect(frame.payload.count == bytes)
            }
        }
    }

    @Test func twoControlClientsAreServedAndAThirdIsNot() throws {
        let detector = try TestDetector()
        let first = try ControlClient(detector.ports)
        let second = try ControlClient(detector.ports)
        #expect(first.ask("SET,GAIN,2") == "SET,GAIN,0")
        #expect(second.ask("GET,GAIN") == "GET,GAIN,2,0")
        let third = try ControlClient(detector.ports)
        #expect(third.reply() == nil)
        #expect(detector.simulator.statistics.refusedControlClients == 1)
        first.connection.shutdown()
        // Short connections one after another are normal.
        for _ in 0..<20 {
            let next = try ControlClient(detector.ports)
            #expect(next.ask("GET,GAIN") == "GET,GAIN,2,0")
            next.connection.shutdown()
        }
        #expect(second.ask("GET,GAIN") == "GET,GAIN,2,0")
    }

    @Test func requestsInPiecesAndWithWrongLengthsAreUnderstood() throws {
        let detector = try TestDetector()
        let control = try ControlClient(detector.ports)
        for piece in ["MP", "X,00000", "00011,GE", "T,IMAGEX"] { try control.connection.send(piece) }
        #expect(control.reply() == "GET,IMAGEX,8,0")
        try control.connection.send("MPX,0000000012,GET,IMAGEX")
        #expect(control.reply() == "GET,IMAGEX,8,0")
        #expect(control.ask("HELLO") == "ERROR,1")
        #expect(control.ask("GET,IMAGEY") == "GET,IMAGEY,8,0")
    }

    @Test func triggerPortStartsAndTellsTheEnd() throws {
        let detector = try TestDetector()
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        let trigger = try TCPConnection.connect(host: "127.0.0.1", port: detector.ports.trigger, timeout: .seconds(5))
        trigger.setReceiveTimeout(.seconds(10))
        func finish() -> Bool {
            var answer = [UInt8](repeating: 0, count: 7)
            return answer.withUnsafeMutableBytes { trigger.receive(into: $0, fill: true) } == .bytes(7)
                && String(decoding: answer, as: UTF8.self) == "FINISH\n"
        }
        _ = control.ask("SET,NUMFRAMESPERTRIGGER,10")
        _ = control.ask("SET,TRIGGERSTART,1")
        _ = control.ask("CMD,STARTACQUISITION")
        #expect(data.next()?.header?.framesPerTrigger == 10)
        for line in 0..<2 as Range<UInt64> {
            #expect(data.isSilent)
            try trigger.send("TRIG")
            try trigger.send("GER\r\n")
            #expect(data.messages(10).map(\.number) == Array((10 * line + 1)...(10 * line + 10)))
            #expect(finish())
        }
        // Nobody waits for this one.
        try trigger.send("WHAT\nTRIGGER\n")
        #expect(finish())
        #expect(control.ask("GET,DETECTORSTATUS") == "GET,DETECTORSTATUS,0,0")
    }

    @Test func aDataClientThatLeavesMakesPlaceForTheNext() throws {
        let detector = try TestDetector(frames: [1000, 1000]) { $0.mode = .freeRunning }
        for acquisition in 0..<3 as Range<UInt16> {
            let data = try DataClient(detector.ports)
            #expect(data.next()?.kind == .acquisitionHeader)
            let frames = data.messages(100)
            #expect(frames.map(\.number) == Array(1...100))
            #expect(TestDetector.pattern.identify(Array(frames[0].payload))?.acquisition == acquisition)
            data.connection.shutdown()
        }
    }

    @Test func runningFreelyItRepeatsUntilItHasDoneItsRuns() throws {
        let detector = try TestDetector {
            $0.mode = .freeRunning
            $0.maximumRuns = 3
        }
        let data = try DataClient(detector.ports)
        for _ in 0..<3 {
            #expect(data.next()?.header?.framesInAcquisition == 20)
            #expect(data.messages(20).map(\.number) == Array(1...20))
        }
        #expect(data.next() == nil)
        data.connection.shutdown()
        #expect(try detector.simulator.waitUntilFinished(timeout: .seconds(60)))
        #expect(detector.simulator.statistics.runs == 3)
    }

    @Test func continuousNumbersRunOn() throws {
        for cache in SimulatorConfiguration.Cache.allCases {
            let detector = try TestDetector {
                $0.mode = .freeRunning
                $0.isContinuous = true
                $0.maximumRuns = 3
                $0.cache = cache
                $0.source = .constant(1)
            }
            let data = try DataClient(detector.ports)
            #expect(data.next()?.header?.framesInAcquisition == 0)
            #expect(data.messages(100).map(\.number) == Array(1...60))
            data.connection.shutdown()
            #expect(try detector.simulator.waitUntilFinished(timeout: .seconds(60)))
            #expect(detector.simulator.statistics.runs == 3)
        }
    }

    @Test func garbageComesFirstAndCanBeDrained() throws {
        let detector = try TestDetector { $0.sendsGarbage = true }
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        var junk = [UInt8](repeating: 0, count: SimulatorConfiguration.garbageBytes)
        #expect(junk.withUnsafeMutableBytes { data.connection.receive(into: $0, fill: true) } == .bytes(21504))
        #expect(data.isSilent)
        _ = control.ask("CMD,STARTACQUISITION")
        _ = control.ask("CMD,SOFTTRIGGER")
        #expect(data.messages(21).count == 21)
        #expect(data.garbage == 0)
    }

    @Test func framesTakeTheirDwellTime() throws {
        let detector = try TestDetector { $0.dwellMicroseconds = 1500 }
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        _ = control.ask("CMD,STARTACQUISITION")
        let start = ContinuousClock.now
        _ = control.ask("CMD,SOFTTRIGGER")
        #expect(data.messages(21).count == 21)
        #expect(ContinuousClock.now - start >= .milliseconds(30))
    }

    @Test(arguments: [
        "abort-at=6", "half-close-at=6", "reset-at=6", "drop-last,truncate-at=3", "trickle-at=2:50ms,stall-at=3:50ms",
    ])
    func afterAFaultTheNextAcquisitionIsRight(faults: String) throws {
        let detector = try TestDetector { $0.faults = try FaultPlan(faults + ",runs=1") }
        let control = try ControlClient(detector.ports)
        var data = try DataClient(detector.ports)
        _ = control.ask("SET,TRIGGERSTART,0")
        _ = control.ask("CMD,STARTACQUISITION")
        #expect(data.next()?.kind == .acquisitionHeader)
        if faults.contains("close") || faults.contains("reset") {
            #expect(data.readsToEnd())
            data.connection.shutdown()
            data = try DataClient(detector.ports)
        } else if faults.contains("abort") {
            #expect(data.messages(5).map(\.number) == Array(1...5))
        } else if faults.contains("truncate") {
            let numbers = data.messages(19).filter { $0.body.count == 448 }.map(\.number)
            #expect(numbers == [1, 2] + Array(4...19))
        } else {
            #expect(data.messages(20).map(\.number) == Array(1...20))
        }
        while control.ask("GET,DETECTORSTATUS") != "GET,DETECTORSTATUS,0,0" {}
        _ = control.ask("CMD,STARTACQUISITION")
        #expect(data.next()?.kind == .acquisitionHeader)
        let identities = data.messages(20).map { TestDetector.pattern.identify(Array($0.payload)) }
        #expect(identities == (0..<20).map { .init(acquisition: 1, frame: $0) })
    }

    @Test func nonsenseIsNamed() throws {
        func option(_ change: (inout SimulatorConfiguration) -> Void) -> String? {
            var configuration = SimulatorConfiguration(source: .synthetic)
            change(&configuration)
            do throws(SimulatorConfigurationError) {
                try configuration.validate()
                return nil
            } catch {
                return error.option
            }
        }
        #expect(option { _ in } == nil)
        #expect(option { $0.navShape = [0, 5] } == "--nav-shape")
        #expect(option { $0.navShape = [.max, 5] } == "--nav-shape")
        #expect(option { $0.maximumRuns = 0 } == "--max-runs")
        #expect(option { $0.dwellMicroseconds = -1 } == "--dwelltime")
        #expect(option { $0.dataPort = 65536 } == "--data-port")
        #expect(option { ($0.layout, $0.isRaw) = (.row, true) } == "detector")
        let small = SigShape(height: 4, width: 4)
        #expect(option { ($0.sigShape, $0.source) = (small, .selfIdentifying) } == "self-identifying")
        #expect(option { ($0.isContinuous, $0.faults.dropsLast) = (true, true) } == "--faults")
        #expect(SimulatorConfiguration.Source("constant:7") == .constant(7))
        #expect(SimulatorConfiguration.Source("x.hdr") == .recording(path: "x.hdr"))
        #expect(throws: MIBError.self) { try MerlinSimulator(SimulatorConfiguration(source: "nowhere.hdr")) }
        let taken = try TCPListener(host: "127.0.0.1", port: 0)
        var configuration = SimulatorConfiguration(source: .synthetic)
        (configuration.controlPort, configuration.triggerPort, configuration.dataPort) = (0, 0, taken.port)
        let simulator = try MerlinSimulator(configuration)
        #expect(throws: SystemError.self) { try simulator.start() }
    }
}
