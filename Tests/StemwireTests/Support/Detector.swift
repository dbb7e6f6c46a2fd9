import MerlinProtocol
import MerlinSimulator
import Stemwire
import StemwireAcquisition
import StemwireSystem
import StemwireUDF
import Testing

/// A small simulated detector on free ports, whose frames tell which one they are.
final class Detector: Sendable {
    let simulator: MerlinSimulator
    let ports: MerlinSimulator.Ports

    init(
        nav: [Int] = [4, 6], sig: Int = 16, faults: String = "", mode: SimulatorConfiguration.Mode = .triggered,
        observer: @escaping @Sendable (SimulatorEvent) -> Void = { _ in },
        _ change: (inout SimulatorConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = Self.configuration(nav: nav, sig: sig)
        configuration.faults = try FaultPlan(faults)
        configuration.mode = mode
        change(&configuration)
        simulator = try MerlinSimulator(configuration, observer: observer)
        ports = try simulator.start()
    }

    deinit { simulator.stop() }

    static func configuration(nav: [Int], sig: Int = 16) -> SimulatorConfiguration {
        var configuration = SimulatorConfiguration(source: .selfIdentifying)
        configuration.navShape = nav
        configuration.sigShape = SigShape(height: sig, width: sig)
        configuration.mode = .triggered
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        return configuration
    }

    var source: LiveSource { .merlin(controlPort: ports.control, dataPort: ports.data) }

    /// What `sumsig` gives, frame by frame, of an acquisition (from 0 on).
    func totals(_ acquisition: UInt16 = 0) throws -> [Double] {
        try (0..<simulator.frameCount).map { try image(acquisition, $0).reduce(0) { $0 + Double($1) } }
    }

    /// What `sum` gives for these frames.
    func sum(_ acquisition: UInt16 = 0, frames: some Sequence<Int>) throws -> [Double] {
        var sum = [Double](repeating: 0, count: simulator.sigShape.pixelCount)
        for frame in frames {
            for (pixel, count) in try image(acquisition, frame).enumerated() { sum[pixel] += Double(count) }
        }
        return sum
    }

    func image(_ acquisition: UInt16, _ frame: Int) throws -> [UInt16] {
        let format = try DetectorFormat(
            layout: .single, sigShape: simulator.sigShape, counterDepth: .twelve, pixelType: .u16)
        return SelfIdentifyingPattern(format).encoded(
            .init(acquisition: acquisition, frame: UInt32(frame)), as: UInt16.self)
    }

    /// What an operator at the detector does: arms and triggers, on the control socket.
    func operate() throws {
        let control = MerlinControl(host: "127.0.0.1", port: ports.control)
        try control.command("STARTACQUISITION")
        try control.command("SOFTTRIGGER")
    }
}

/// What happened, in order, told by several tasks.
final class Diary: Sendable {
    private let lines = Locked<[String]>([])

    func note(_ line: String) { lines.withLock { $0.append(line) } }

    var all: [String] { lines.value }

    /// Waits until something has been noted.
    func begun(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually("the first note", sourceLocation: sourceLocation) { !all.isEmpty }
    }
}

/// Asks until it is so, for some seconds: for states that nobody tells of.
func eventually(
    _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, "\(what) did not happen", sourceLocation: sourceLocation)
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Expects a `RunError` that `matches`.
func expectRunError(
    _ matches: (RunError) -> Bool, sourceLocation: SourceLocation = #_sourceLocation,
    from body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as RunError {
        #expect(matches(error), "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error) was thrown", sourceLocation: sourceLocation)
    }
}

extension RunError {
    func isBadRequest(with words: String...) -> Bool {
        if case .badRequest(let text) = self { !text.isEmpty && words.allSatisfy(text.contains) } else { false }
    }

    var isCancelled: Bool { if case .cancelled = self { true } else { false } }
}

let sum = UDFRequest(name: "sum")
let sumsig = UDFRequest(name: "sumsig")
