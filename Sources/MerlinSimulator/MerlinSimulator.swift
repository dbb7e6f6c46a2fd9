import MerlinProtocol
import StemwireSystem

/// A Merlin detector of software: control, data and trigger port.
///
/// Protocol and order of events are a detector's (see ``DetectorState``); the sources are simulated scans or
/// recordings. On request it goes wrong (see ``FaultPlan``).
///
/// - Control port: two clients at once; a third one's connection is closed.
/// - Data port: one client at a time; the next one in the queue is served when it leaves. An acquisition that is armed
///   without data client waits for one; one whose client leaves is over.
/// - Trigger port: the line `TRIGGER` is a hardware trigger; `FINISH` comes back when its frames are sent.
///
/// All methods may be called from any thread, but ``stop()`` and ``waitUntilFinished(timeout:)`` not from the observer.
public final class MerlinSimulator: Sendable {
    /// The ports listened on.
    public struct Ports: Sendable, Hashable {
        public var control: Int
        public var data: Int
        public var trigger: Int
    }

    public let configuration: SimulatorConfiguration
    private let core: SimulatorCore
    private let threads = Locked<[NamedThread]>([])

    /// Makes a detector; nothing is listened on yet.
    ///
    /// - Parameter observer: called from the simulator's threads; it must return soon.
    /// - Throws: `SimulatorConfigurationError` naming the option; `MIBError` for a recording that cannot be read;
    ///   `SystemError`.
    public init(
        _ configuration: SimulatorConfiguration, observer: (@Sendable (SimulatorEvent) -> Void)? = nil
    ) throws {
        try configuration.validate()
        self.configuration = configuration
        core = try SimulatorCore(
            configuration: configuration, source: try configuration.makeSource(), observer: observer)
    }

    deinit { stop() }

    /// Frames of one scan.
    public var frameCount: Int { core.source.setup.frameCount }
    /// Scan shape, slowest axis first.
    public var navShape: [Int] { core.source.setup.navShape }
    /// The decoded image at the start, (y, x).
    public var sigShape: SigShape { core.source.setup.fullShape }
    public var statistics: SimulatorStatistics { core.statistics.value }

    /// Listens and serves. With `--cached memory` the whole scan is made first.
    ///
    /// To be called once.
    ///
    /// - Throws: `SystemError`, such as a port in use; `SimulatorError.cacheTooLarge`; what a recording throws.
    @discardableResult
    public func start() throws -> Ports {
        let control = try TCPListener(host: configuration.host, port: configuration.controlPort)
        let data = try TCPListener(host: configuration.host, port: configuration.dataPort)
        let trigger = try TCPListener(host: configuration.host, port: configuration.triggerPort)
        // The service belongs to the data thread alone from here on.
        nonisolated(unsafe) let dataService = DataService(core, data)
        try dataService.prepare()
        for listener in [control, data, trigger] { core.register(listener) }
        let controlService = ControlService(core, control)
        let triggerService = TriggerService(core, trigger)
        do {
            try launch("sim data") { dataService.serveAll() }
            try launch("sim control") { controlService.run() }
            try launch("sim trigger") { triggerService.run() }
        } catch {
            stop()
            throw error
        }
        return Ports(control: control.port, data: data.port, trigger: trigger.port)
    }

    /// Ends everything at once: connections are cut, threads end. Returns when they have; may be called again.
    public func stop() {
        core.finish()
        let ended = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in ended { thread.join() }
    }

    /// Waits until the simulator has ended: by ``stop()``, after the last run, or because of an error.
    ///
    /// - Parameter timeout: nil to wait without limit.
    /// - Returns: false when the time ran out.
    /// - Throws: the error that ended it.
    @discardableResult
    public func waitUntilFinished(timeout: Duration? = nil) throws -> Bool {
        guard try core.waitUntilFinished(timeout: timeout) else { return false }
        stop()
        return true
    }

    /// A hardware trigger, as from the trigger port.
    ///
    /// - Returns: false when no acquisition waits for one.
    @discardableResult
    public func trigger() -> Bool {
        let ticket = core.state.withLock { $0.trigger() }
        core.stateChanged()
        return ticket != nil
    }

    private func launch(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let thread = try NamedThread(name, body: body)
        threads.withLock { $0.append(thread) }
    }
}

extension SimulatorConfiguration {
    /// The source that the options describe.
    func makeSource() throws -> any FrameSource {
        if case .recording(let path) = source {
            let recording = try RecordingSource(path: path, navShape: navShape)
            return recording.with(setup: completed(recording.setup))
        }
        let setup = completed(setup(navShape: navShape ?? Self.defaultNavShape))
        let (source, seed, dose) = (source, seed, dose)
        return PatternSource(
            setup: setup, hasScanKeys: hasScanKeys, variesByAcquisition: source == .selfIdentifying
        ) { format, plan in
            switch source {
            case .selfIdentifying: SelfIdentifyingPattern(format)
            case .constant(let count): ConstantPattern(sigShape: format.sigShape, count: count)
            case .synthetic, .recording:
                SyntheticPattern(format, navShape: plan.navShape, seed: seed, dose: dose)
            }
        }
    }
}
