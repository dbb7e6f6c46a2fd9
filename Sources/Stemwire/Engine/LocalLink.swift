import MerlinProtocol
import MerlinSimulator
import StemwireAcquisition
import StemwireSystem
import StemwireUDF

/// Where the frames of a local run come from.
enum LocalSource: Sendable {
    case merlin(host: String, controlPort: Int, dataPort: Int)
    case recording(MIBFileSet)
    case memory(MemoryFrames)
    case simulator(SimulatorConfiguration)

    var hasDetector: Bool {
        switch self {
        case .merlin, .simulator: true
        case .recording, .memory: false
        }
    }
}

/// A source in this process with the pipeline behind it, for one run or for several, one after the other.
///
/// From any thread; methods that are marked so block, and belong on threads that may.
final class LocalLink: Sendable {
    /// How long an armed detector may take to send its acquisition header.
    private static let headerPatience = Duration.seconds(1)
    /// How long a request to the detector may take.
    static let requestLimit = Duration.seconds(5)

    let pipeline: Pipeline
    let control: MerlinControl?
    private let source: LocalSource
    private let hook: NavShapeResolver.Hook?
    private let dataPort: Int
    private let simulator: MerlinSimulator?
    private let active = Locked<(any ActiveSource)?>(nil)

    /// Starts the engine, and the embedded simulator where that is the source.
    init(
        _ source: LocalSource, options: RunOptions, holds: Bool, hook: NavShapeResolver.Hook? = nil
    ) throws(RunError) {
        if let shape = options.navShape { try Self.check(shape) }
        switch source {
        case .merlin(let host, let controlPort, let dataPort):
            control = MerlinControl(host: host, port: controlPort, timeout: Self.requestLimit)
            (self.dataPort, simulator) = (dataPort, nil)
        case .simulator(let configuration):
            do {
                let simulator = try MerlinSimulator(configuration)
                let ports = try simulator.start()
                control = MerlinControl(host: configuration.host, port: ports.control, timeout: Self.requestLimit)
                (dataPort, self.simulator) = (ports.data, simulator)
            } catch {
                throw .badRequest("the simulated detector cannot be: \(error)")
            }
        case .recording, .memory:
            (control, dataPort, simulator) = (nil, 0, nil)
        }
        (self.source, self.hook) = (source, hook)
        do throws(RunError) {
            pipeline = try Pipeline(
                options: options, ring: source.ring(for: options), holds: holds)
        } catch {
            simulator?.stop()
            throw error
        }
    }

    /// Checks a nav shape as far as that is possible before the number of frames is known.
    static func check(_ navShape: [Int]) throws(RunError) {
        do throws(NavShapeError) {
            _ = try NavShapeResolver(shape: navShape).resolve(frameCount: nil)
        } catch {
            // What is left open is worked out when the number of frames is known.
            guard case .needsFrameCount = error else { throw .badRequest(error.description) }
        }
    }

    private var options: RunOptions { pipeline.options }

    /// Connects to the data socket, or gets recording or array ready. Blocks. The second time it does nothing.
    func connect(deadline: ContinuousClock.Instant?) throws(RunError) {
        guard active.value == nil else { return }
        var configuration = pipeline.sourceConfiguration(hook)
        let (ring, queues) = (pipeline.ring, pipeline.queues)
        switch source {
        case .merlin, .simulator:
            var settings = MerlinReceiver.Configuration()
            settings.source = configuration
            let receiver = MerlinReceiver(ring: ring, consumers: queues, configuration: settings)
            do throws(SystemError) {
                try receiver.start(
                    host: control?.host ?? "", port: dataPort, timeout: Self.timeLeft(until: deadline))
            } catch {
                throw .unreachable(
                    "\(error): no detector serves data there; check address, port and that its software runs")
            }
            active.value = DetectorSource(receiver: receiver)
        case .recording(let set):
            active.value = FeedSource(
                MIBFileSource(
                    set: set, ring: ring, consumers: queues, configuration: configuration, reading: .byConsumers))
        case .memory(let frames):
            configuration.tracker.resolver = NavShapeResolver()
            active.value = FeedSource(
                MemorySource(
                    navShape: frames.navShape, sigShape: frames.sigShape, pixelType: frames.pixelType, ring: ring,
                    consumers: queues, configuration: configuration, reading: .byConsumers, fill: frames.fill))
        }
    }

    /// What feeds the pipeline; nil before `connect`.
    var activeSource: (any ActiveSource)? { active.value }

    /// Waits until an acquisition has begun, which is held then; nil when the time is over. Blocks.
    func waitForAcquisition(
        timeout: Duration, _ isCancelled: CancellationFlag
    ) throws(RunError) -> AcquisitionDescription? {
        let deadline = ContinuousClock.now + timeout
        pipeline.gate.passOverTold()
        try connect(deadline: deadline)
        while true {
            if let held = pipeline.gate.takeHeld() { return held }
            if isCancelled.isSet { throw .cancelled }
            if let source = activeSource, source.hasEnded {
                throw .unreachable("no acquisition will begin: \(source.endText)")
            }
            guard ContinuousClock.now < deadline else { return nil }
            pipeline.waitForChange(timeout: .milliseconds(20))
        }
    }

    /// Ends source and engine. Blocks until they have ended; what was received is worked on first.
    func close() {
        pipeline.gate.shut()
        active.value?.stop()
        simulator?.stop()
        pipeline.stop()
    }

    // MARK: The detector

    /// Sets up the detector and starts it; it then waits for its trigger, or sends at once if that is internal. Blocks.
    func arm(frames: Int?, trigger: DetectorTrigger?, deadline: ContinuousClock.Instant?) throws(RunError) {
        let control = try detectorControl()
        guard let receiver = (active.value as? DetectorSource)?.receiver else {
            throw .badRequest("the detector cannot be armed before its data socket is connected (after onSetUp)")
        }
        let timeLeft = { () -> Duration in Self.timeLeft(until: deadline) }
        try reporting {
            let frames = frames ?? scanFrames
            let ended = receiver.counters.endedAcquisitions
            try control.arm(frames: frames, trigger: trigger, beforeStart: receiver.willArm, timeLeft: timeLeft)
            if !waitForHeader(receiver, after: ended, timeout: min(Self.headerPatience, timeLeft())) {
                // The header comes at once when a detector is armed. Where none comes, it went to a connection that had
                // just ended, or acquisition headers are switched off; arming anew helps the one and does not hurt the other.
                try control.command("STOPACQUISITION", timeout: timeLeft())
                try control.arm(frames: frames, trigger: trigger, beforeStart: receiver.willArm, timeLeft: timeLeft)
                _ = waitForHeader(receiver, after: ended, timeout: min(Self.headerPatience, timeLeft()))
            }
        }
    }

    /// Has recording or array give its frames.
    func play() throws(RunError) {
        guard let feed = active.value as? FeedSource else { throw .badRequest("there are no frames to give yet") }
        do throws(SystemError) { try feed.start() } catch { throw .failed(error.description) }
    }

    var isFeed: Bool { !source.hasDetector }

    /// Sends a request to the detector. Blocks.
    func request<Value>(_ body: (MerlinControl) throws -> Value) throws(RunError) -> Value {
        let control = try detectorControl()
        return try reporting { try body(control) }
    }

    /// After STOPACQUISITION or ABORT was sent.
    func didEnd(aborted: Bool) {
        guard let receiver = (active.value as? DetectorSource)?.receiver else { return }
        if aborted { receiver.didAbort() } else { receiver.didStop() }
    }

    private func detectorControl() throws(RunError) -> MerlinControl {
        guard let control else { throw .badRequest("recordings and arrays have no detector to control") }
        return control
    }

    private func reporting<Value>(_ body: () throws -> Value) throws(RunError) -> Value {
        do {
            return try body()
        } catch let error as MerlinControlError {
            switch error {
            case .unreachable: throw .unreachable(error.description)
            case .timedOut: throw .timedOut(error.description, nil)
            default: throw .refused(error.description)
            }
        } catch {
            throw .failed("\(error)")
        }
    }

    /// The frames of a scan whose shape is given in full, lead-in, fly-back and tail included.
    private var scanFrames: Int? {
        guard let shape = options.navShape, let navShape = try? NavShape(shape) else { return nil }
        return (try? ScanGeometry(navShape: navShape, margins: options.margins))?.totalFrames
    }

    /// Waits until the acquisition header, or a frame, has come, or even the end of another acquisition than the first
    /// `ended` ones.
    private func waitForHeader(_ receiver: MerlinReceiver, after ended: Int, timeout: Duration) -> Bool {
        let deadline = ContinuousClock.now + timeout
        let pause = CountingSemaphore()
        while receiver.counters.state == .idle, receiver.counters.endedAcquisitions == ended {
            guard ContinuousClock.now < deadline else { return false }
            _ = pause.wait(timeout: .milliseconds(2))
        }
        return true
    }

    private static func timeLeft(until deadline: ContinuousClock.Instant?) -> Duration {
        min(requestLimit, deadline.map { max(.milliseconds(1), $0 - ContinuousClock.now) } ?? requestLimit)
    }
}
