import ArgumentParser
import Foundation
import MerlinProtocol
import MerlinSimulator

struct Sim: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Behaves like a Merlin detector: control, data and trigger socket.",
        discussion: """
            Without --wait-trigger or --manual-trigger, acquisitions follow one another as soon as a data client connects, \
            until a control client sends STARTACQUISITION and takes over. With --wait-trigger, STARTACQUISITION sends \
            the acquisition header and SOFTTRIGGER, or the line TRIGGER on the trigger port, the frames.

            Faults (--faults) are words separated by commas, such as drop-first,drop=0.01,abort-at=100: drop=P, drop-first, \
            drop-middle, drop-last, drop-at=K, duplicate=P, duplicate-at=K, reorder=P, truncate=P, truncate-at=K, \
            wrong-length=P, wrong-length-at=K, garbage=P, garbage-at=K, garbage-before, nul=P, header-twice, header-at=K, \
            stall-at=K:3s, trickle-at=K:3s, abort-at=K, half-close-at=K, reset-at=K, runs=N. P is a probability per frame, \
            K a frame from 1 (or several, 5+17+30-40); runs=N makes only the first N acquisitions faulty.
            """)

    @Argument(
        help:
            "PATH.hdr or PATH.mib (what was recorded), synthetic (a simulated scan), self-identifying (frames that tell which one they are) or constant[:COUNT]."
    )
    var source: String

    @Option(help: "Address to listen at.") var host = "127.0.0.1"
    @Option(help: "Port of the control socket; 0 takes a free one.") var controlPort = 6341
    @Option(help: "Port of the data socket; 0 takes a free one.") var dataPort = 6342
    @Option(help: "Port of the trigger socket; 0 takes a free one.") var triggerPort = 6343
    @Option(
        help: ArgumentHelp(
            "Shape of the scan, slow axis first. Default: the recording's, or 128 128.", valueName: "Y X"))
    var navShape: NavShapeArgument?
    @Flag(help: "Wait for STARTACQUISITION, then for a trigger.") var waitTrigger = false
    @Flag(help: "Wait for STARTACQUISITION, then for the return key.") var manualTrigger = false
    @Flag(help: "One endless acquisition that repeats the source.") var continuous = false
    @Option(help: ArgumentHelp("End after so many acquisitions (with --continuous: repetitions).", valueName: "N"))
    var maxRuns: Int?
    @Option(help: ArgumentHelp("Least time for a frame.", valueName: "US")) var dwelltime: Double?
    @Flag(help: "Send garbage as soon as a data client connects.") var garbage = false
    @Option(help: "none: frames are made while they are sent; memory: beforehand, for the highest rate.")
    var cached = "none"
    @Option(help: ArgumentHelp("Faults to inject.", valueName: "SPEC")) var faults: String?
    @Option(help: "Decides specimen, noise and faults.") var seed: UInt64 = 1
    @Option(help: "Counter depth in bits: 1, 6, 12 or 24.") var counterDepth = 12
    @Flag(help: "Send raw frames (R64).") var raw = false
    @Option(help: "Chips: 1x1, 2x2, 2x2G or Nx1.") var layout = "1x1"
    @Option(help: "Pixel type of processed frames: U08, U16, U32 or U64. Default: by counter depth.")
    var pixelType: String?
    @Option(help: "Mean electrons in a frame of the synthetic scan.") var dose: Double?
    @Flag(help: "Print one JSON object a line on standard output.") var json = false

    func simulatorConfiguration() throws -> SimulatorConfiguration {
        var configuration = SimulatorConfiguration(source: source)
        configuration.host = host
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (
            controlPort, dataPort, triggerPort
        )
        if let navShape, navShape.lengths != [0, 0] { configuration.navShape = navShape.lengths }
        guard !(waitTrigger && manualTrigger) else {
            throw CommandFailure.usage("--wait-trigger and --manual-trigger exclude each other")
        }
        configuration.mode = manualTrigger ? .manual : waitTrigger ? .triggered : .freeRunning
        configuration.isContinuous = continuous
        configuration.maximumRuns = maxRuns
        configuration.dwellMicroseconds = dwelltime
        configuration.sendsGarbage = garbage
        guard let cache = SimulatorConfiguration.Cache(rawValue: cached.lowercased()) else {
            throw CommandFailure.usage("--cached: \"\(cached)\" is neither none nor memory")
        }
        configuration.cache = cache
        if let faults {
            do throws(FaultPlanError) {
                configuration.faults = try FaultPlan(faults)
            } catch {
                throw CommandFailure.usage("--\(error)")
            }
        }
        configuration.seed = seed
        guard let depth = CounterDepth(rawValue: counterDepth) else {
            throw CommandFailure.usage("--counter-depth: \(counterDepth) is none of 1, 6, 12, 24")
        }
        configuration.counterDepth = depth
        configuration.isRaw = raw
        guard let sensor = SensorLayout(layout) else {
            throw CommandFailure.usage("--layout: \"\(layout)\" is none of 1x1, 2x2, 2x2G, Nx1")
        }
        configuration.layout = sensor
        if let pixelType {
            guard let type = PixelType(rawValue: pixelType.uppercased()) else {
                throw CommandFailure.usage("--pixel-type: \"\(pixelType)\" is none of U08, U16, U32, U64")
            }
            configuration.pixelType = type
        }
        configuration.dose = dose
        return configuration
    }

    func run() async throws {
        let simulator: MerlinSimulator
        let ports: MerlinSimulator.Ports
        do {
            simulator = try MerlinSimulator(try simulatorConfiguration())
            ports = try simulator.start()
        } catch let failure as CommandFailure {
            throw failure
        } catch let error as SimulatorConfigurationError {
            throw CommandFailure.usage(error.description)
        } catch {
            throw CommandFailure.failure("\(error)")
        }
        if json {
            Terminal.json([
                "event": "listening", "control_port": ports.control, "data_port": ports.data,
                "trigger_port": ports.trigger, "nav_shape": simulator.navShape,
                "sig_shape": [simulator.sigShape.height, simulator.sigShape.width],
            ])
        } else {
            Terminal.print(
                "Simulated Merlin: scan \(simulator.navShape.map(String.init).joined(separator: " × ")), frames "
                    + "\(simulator.sigShape.height) × \(simulator.sigShape.width); control \(host):\(ports.control), "
                    + "data \(host):\(ports.data), trigger \(host):\(ports.trigger)")
        }
        let code = try await serve(simulator)
        let statistics = simulator.statistics
        if json {
            Terminal.json([
                "event": "finished", "runs": statistics.runs, "frames": statistics.frames, "bytes": statistics.bytes,
                "frames_per_second": statistics.framesPerSecond,
            ])
        } else {
            Terminal.print(
                "\(statistics.runs) acquisitions, \(statistics.frames) frames, \(statistics.bytes >> 20) MiB sent")
        }
        if code != 0 { throw ExitCode(code) }
    }

    /// Waits for the simulator's own end, or a signal.
    private func serve(_ simulator: MerlinSimulator) async throws -> Int32 {
        let keys = manualTrigger ? Thread { while readLine() != nil { simulator.trigger() } } : nil
        keys?.start()
        return try await withThrowingTaskGroup(of: Int32.self) { group in
            group.addTask {
                try await Interruption.wait() == .interrupt ? 130 : 0
            }
            group.addTask {
                try await withCheckedThrowingContinuation { continuation in
                    Thread.detachNewThread {
                        do {
                            try simulator.waitUntilFinished()
                            continuation.resume(returning: 0)
                        } catch {
                            continuation.resume(throwing: CommandFailure.failure("\(error)"))
                        }
                    }
                }
            }
            defer {
                group.cancelAll()
                simulator.stop()
            }
            return try await group.next() ?? 0
        }
    }
}
