import MerlinProtocol

/// Everything that can be chosen of a simulated detector.
public struct SimulatorConfiguration: Sendable {
    /// Where the frames come from.
    public enum Source: Sendable, Hashable {
        /// A simulated scan; see ``SyntheticPattern``.
        case synthetic
        /// Frames that tell which one they are; see ``SelfIdentifyingPattern``.
        case selfIdentifying
        /// The same count in all pixels.
        case constant(UInt32)
        /// A `.hdr` or `.mib` file and what belongs to it, sent as recorded but for the sequence numbers.
        case recording(path: String)

        /// Reads `synthetic`, `self-identifying`, `constant`, `constant:COUNT` or a path.
        public init(_ text: String) {
            switch text {
            case "synthetic": self = .synthetic
            case "self-identifying": self = .selfIdentifying
            case "constant": self = .constant(1)
            default:
                if text.hasPrefix("constant:"), let count = UInt32(text.dropFirst(9)) {
                    self = .constant(count)
                } else {
                    self = .recording(path: text)
                }
            }
        }
    }

    /// When acquisitions begin.
    public enum Mode: Sendable, Hashable {
        /// As soon as a data client connects, one after the other, without being asked: what LiberTEM-live's simulator
        /// does by default. A control client that sends STARTACQUISITION takes over and is obeyed as by a detector.
        case freeRunning
        /// As a detector: STARTACQUISITION sends the acquisition header. TRIGGERSTART is 5 at the start, so that the
        /// frames wait for SOFTTRIGGER or the trigger socket; with TRIGGERSTART 0 they follow at once.
        case triggered
        /// As `triggered`, for a user who triggers by ``MerlinSimulator/trigger()`` at a key; the observer is told when
        /// an acquisition waits for it.
        case manual
    }

    /// Where the messages of an acquisition are kept.
    public enum Cache: String, Sendable, Hashable, CaseIterable {
        /// Made or read while they are sent.
        case none
        /// All in one block of memory, made beforehand: for the highest rate.
        case memory
    }

    public var source: Source
    /// Scan shape, slowest axis first; nil for the recording's own, or 128 × 128.
    public var navShape: [Int]?
    public var mode = Mode.freeRunning
    /// One endless acquisition: NUMFRAMESTOACQUIRE is 0 at the start, the source is repeated, numbers run on.
    public var isContinuous = false
    /// The simulator ends after so many acquisitions; with `isContinuous` after so many repetitions of the source.
    public var maximumRuns: Int?
    /// Least time a frame takes, in µs; nil for as fast as the reader takes them.
    public var dwellMicroseconds: Double?
    /// Whether 21,504 bytes of garbage are sent as soon as a data client connects.
    public var sendsGarbage = false
    public var cache = Cache.none
    public var faults = FaultPlan()
    /// Decides the synthetic specimen, all noise and all faults.
    public var seed: UInt64 = 1

    public var host = "127.0.0.1"
    /// 0 takes a free port.
    public var controlPort = 6341
    public var dataPort = 6342
    public var triggerPort = 6343

    /// Chips of the detector; for sources other than recordings, as all that follows.
    public var layout = SensorLayout.single
    /// The image, (y, x); nil for 256 × 256, quad 512 × 512, quad with gap 514 × 514, row of chips 256 × 1024.
    public var sigShape: SigShape?
    public var counterDepth = CounterDepth.twelve
    /// Whether frames are sent raw (`R64`).
    public var isRaw = false
    /// Pixel type of processed frames; nil for U08, U16 or U32 as the counter depth needs.
    public var pixelType: PixelType?
    /// Mean electrons a frame of the synthetic source; nil for ``SyntheticPattern/defaultDose(_:)``.
    public var dose: Double?
    /// Whether the acquisition header has the keys ScanX and ScanY, which software before 2024 lacks.
    public var hasScanKeys = true

    /// Size of what `sendsGarbage` sends.
    public static let garbageBytes = 21 * 1024

    public init(source: Source) {
        self.source = source
    }

    public init(source: String) {
        self.init(source: Source(source))
    }
}

/// An option that makes no sense, by the name it has on the command line.
public struct SimulatorConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    public let option: String
    public let reason: String

    public init(option: String, reason: String) {
        self.option = option
        self.reason = reason
    }

    public var description: String { "\(option): \(reason)" }
}

extension SimulatorConfiguration {
    /// Checks what can be checked without opening files.
    public func validate() throws(SimulatorConfigurationError) {
        func fail(_ option: String, _ reason: String) -> SimulatorConfigurationError {
            SimulatorConfigurationError(option: option, reason: reason)
        }
        if let navShape {
            var size = 1
            for side in navShape {
                let (product, overflow) = size.multipliedReportingOverflow(by: side)
                guard side > 0, !overflow, product <= DetectorParameters.maximumFrames else {
                    let shape = navShape.map(String.init).joined(separator: " × ")
                    throw fail("--nav-shape", "there is no scan of \(shape) positions")
                }
                size = product
            }
            guard !navShape.isEmpty else { throw fail("--nav-shape", "needs at least one axis") }
        }
        if let maximumRuns, maximumRuns < 1 { throw fail("--max-runs", "must be at least 1, not \(maximumRuns)") }
        if let dwellMicroseconds, !(dwellMicroseconds >= 0 && dwellMicroseconds <= 1e9) {
            throw fail("--dwelltime", "must be from 0 to 10⁹ µs, not \(dwellMicroseconds)")
        }
        if let dose, !(dose >= 0 && dose <= 1e9) {
            throw fail("--dose", "must be from 0 to 10⁹ electrons, not \(dose)")
        }
        for (option, port) in [
            ("--control-port", controlPort), ("--data-port", dataPort), ("--trigger-port", triggerPort),
        ] where !(0...65535).contains(port) {
            throw fail(option, "\(port) is no TCP port")
        }
        if isContinuous, faults.dropsLast || faults.dropsMiddle {
            throw fail("--faults", "an endless acquisition (--continuous) has no middle and no last frame to drop")
        }
        if case .recording = source { return }
        let format: DetectorFormat
        do throws(DetectorFormatError) {
            format = try setup(navShape: navShape ?? Self.defaultNavShape).format()
        } catch {
            throw fail("detector", "\(error)")
        }
        if case .selfIdentifying = source, format.sigShape.pixelCount < SelfIdentifyingPattern.minimumPixels {
            throw fail("self-identifying", "images of \(format.sigShape) pixels are too small: 64 pixels are needed")
        }
    }

    /// The scan shape of sources that have none of their own.
    static let defaultNavShape = [128, 128]

    /// The detector for a source that is not recorded.
    func setup(navShape: [Int]) -> DetectorSetup {
        let side = DetectorFormat.chipSide
        var shape = SigShape(height: side, width: side)
        if layout.isQuad {
            shape = SigShape(height: 2 * side, width: 2 * side)
            if layout.hasGap { shape = SigShape(height: 2 * side + 2, width: 2 * side + 2) }
        } else if layout.isRow {
            shape = SigShape(height: side, width: 4 * side)
        }
        var setup = DetectorSetup(
            layout: layout, fullShape: sigShape ?? shape, counterDepth: counterDepth, isRaw: isRaw, navShape: navShape)
        setup.processedPixelType = pixelType
        return setup
    }

    /// Puts the options in that all sources share.
    func completed(_ setup: DetectorSetup) -> DetectorSetup {
        var setup = setup
        setup.isContinuous = isContinuous
        setup.waitsForTrigger = mode != .freeRunning
        setup.runsFreely = mode == .freeRunning
        if let dwellMicroseconds, dwellMicroseconds > 0 { setup.frameMilliseconds = dwellMicroseconds / 1000 }
        return setup
    }
}
