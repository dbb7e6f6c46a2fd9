import StemwireProtocol
import ZeroMQ

/// A channel or a frame as a file, as the server made it.
public struct ServerImage: Sendable {
    /// Format, type and shape; of a channel its names and how far it is, of a frame its position.
    public let wire: WireImage
    /// The file.
    public let bytes: [UInt8]
}

/// The files in which a server gives channels and frames.
public enum ImageFileFormat: String, Sendable, Hashable, CaseIterable {
    case png
    /// 32-bit floating-point numbers.
    case tiff
    case npy
    /// The numbers alone: little-endian, C order.
    case raw
}

/// How an acquisition is to be armed; what is nil stays as the detector is set.
public struct ArmSettings: Sendable, Hashable {
    /// Slow axis first, -1 as a placeholder; nil: as the server was told.
    public var navShape: [Int]?
    public var frames: Int?
    public var trigger: TriggerMode?
    /// Acquire until told to stop: the stream is cut into acquisitions of `navShape`, one after the other.
    public var isEndless: Bool
    /// Ended acquisitions that the server keeps from now on, with results and, as far as its memory lasts, frames: 1 to 64;
    /// nil: as it was told.
    public var window: Int?
    /// Declared frames that are no scan positions; nil: as the server was told.
    public var margins: FrameMargins?
    /// Scan positions in a partition; nil: as the server was told.
    public var framesPerPartition: Int?

    public init(
        navShape: [Int]? = nil, frames: Int? = nil, trigger: TriggerMode? = nil, isEndless: Bool = false,
        window: Int? = nil, margins: FrameMargins? = nil, framesPerPartition: Int? = nil
    ) {
        self.navShape = navShape
        self.frames = frames
        self.trigger = trigger
        self.isEndless = isEndless
        self.window = window
        self.margins = margins
        self.framesPerPartition = framesPerPartition
    }

    func wire() throws(ControlFailure) -> WireArmRequest {
        var wire = WireArmRequest()
        for axis in navShape ?? [] {
            guard let number = Int32(exactly: axis), number == -1 || number > 0 else {
                throw ControlFailure(
                    .invalidArgument, "a scan of \(navShape ?? []) cannot be: axes are 1 or more, or -1")
            }
            wire.navShape.append(number)
        }
        if let frames {
            guard frames > 0 else {
                throw ControlFailure(.invalidArgument, "\(frames) frames cannot be acquired: 1 or more")
            }
            wire.frames = UInt64(frames)
        }
        wire.trigger = trigger?.rawValue ?? ""
        wire.endless = isEndless
        if let window {
            guard WireLimits.window.contains(window) else {
                throw ControlFailure(
                    .invalidArgument,
                    "a window of \(window) acquisitions cannot be: 1 to \(WireLimits.window.upperBound)")
            }
            wire.window = UInt32(window)
        }
        if let margins {
            let counts = [margins.leadIn, margins.flybackPerLine, margins.tail].map { UInt32(exactly: $0) }
            guard let leadIn = counts[0], let flyback = counts[1], let tail = counts[2] else {
                throw ControlFailure(.invalidArgument, "\(margins) cannot be: counts are 0 or more")
            }
            wire.margins.leadIn = leadIn
            wire.margins.flybackPerLine = flyback
            wire.margins.tail = tail
        }
        if let framesPerPartition {
            guard framesPerPartition > 0, let length = UInt32(exactly: framesPerPartition) else {
                throw ControlFailure(
                    .invalidArgument, "partitions of \(framesPerPartition) frames cannot be: 1 or more")
            }
            wire.framesPerPartition = length
        }
        return wire
    }
}

/// Whole settings, whole scans, and what came of them.
extension StemwireConnection {
    // MARK: Detector

    /// Sets detector variables, in an order in which the detector takes them, and reads them back.
    ///
    /// - Returns: each as the detector says it is now; `differs` where that is not what was asked for.
    public func configure(
        _ settings: [(name: String, value: String)], deadline: Duration = .seconds(10)
    ) async throws(ControlFailure) -> [WireDetectorSetting] {
        var wire = WireRequest()
        wire.configure.settings = settings.map { WireDetectorSet($0) }
        return try await ask(wire, deadline) {
            if case .settings(let settings)? = $0.wire.kind { settings.settings } else { nil }
        }
    }

    /// Sends the lines of a command file to the detector; ends at the first that is refused.
    public func runCommandFile(
        _ text: String, deadline: Duration = .seconds(30)
    ) async throws(ControlFailure) -> [WireCommandFileLine] {
        var wire = WireRequest()
        wire.commandFile.text = text
        return try await ask(wire, deadline) {
            if case .commandFile(let reply)? = $0.wire.kind { reply.lines } else { nil }
        }
    }

    // MARK: Acquisitions

    /// Arms the detector, also for an endless acquisition.
    @discardableResult
    public func arm(
        _ settings: ArmSettings, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> CommandResult {
        var wire = WireRequest()
        wire.arm = try settings.wire()
        return try await command(wire, deadline)
    }

    /// Tells whether an acquisition would work, how long it takes and how large it is. Changes nothing.
    ///
    /// - Parameter settings: detector variables that would be set before.
    public func check(
        _ arm: ArmSettings = ArmSettings(), settings: [(name: String, value: String)] = [],
        deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> WireCheckReport {
        var wire = WireRequest()
        wire.check.arm = try arm.wire()
        wire.check.settings = settings.map { WireDetectorSet($0) }
        return try await ask(wire, deadline) { if case .check(let report)? = $0.wire.kind { report } else { nil } }
    }

    /// Sets the detector, starts a run, arms, triggers, and waits for the end and the last result.
    ///
    /// What has not ended by the deadline is aborted. Progress comes as events `scan.*` (``events()``) that name `id`.
    ///
    /// - Parameters:
    ///   - udfs: a run on these acquisitions; empty: none besides those that the server has.
    ///   - repeats: acquisitions, one after the other.
    ///   - id: of the request; nil: a random one.
    public func scan(
        _ arm: ArmSettings = ArmSettings(), settings: [(name: String, value: String)] = [],
        udfs: [UDFSelection] = [], run: String? = nil, repeats: Int = 1, id: String? = nil,
        deadline: Duration = .seconds(600)
    ) async throws(ControlFailure) -> WireScanReport {
        var wire = WireRequest()
        wire.id = id ?? ""
        wire.scan.arm = try arm.wire()
        wire.scan.settings = settings.map { WireDetectorSet($0) }
        wire.scan.udfs = udfs.map(\.wire)
        wire.scan.run = run ?? ""
        wire.scan.repeats = UInt32(clamping: repeats)
        return try await ask(wire, deadline) { if case .scan(let report)? = $0.wire.kind { report } else { nil } }
    }

    /// Waits until the acquisition that is armed or runs has ended and its results are final.
    ///
    /// - Parameter generation: waits for this one or a later one; nil: the present one, or none if the last has ended.
    public func waitForEnd(
        generation: UInt64? = nil, deadline: Duration = .seconds(600)
    ) async throws(ControlFailure) -> WireAcquisitionStatus {
        var wire = WireRequest()
        wire.wait.generation = generation ?? 0
        return try await ask(wire, deadline) {
            if case .scan(let report)? = $0.wire.kind { report.acquisitions.first } else { nil }
        }
    }

    // MARK: What came of them

    /// The newest state of a channel as a file; nil stands for the first that fits.
    public func image(
        run: String? = nil, udf: String? = nil, channel: String? = nil, acquisition: AcquisitionUUID? = nil,
        as format: ImageFileFormat = .png, colours: String? = nil, isLogarithmic: Bool = false,
        deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> ServerImage {
        var wire = WireRequest()
        wire.image.run = run ?? ""
        wire.image.udf = udf ?? ""
        wire.image.channel = channel ?? ""
        wire.image.acquisition = .init(acquisition?.bytes ?? [])
        (wire.image.format, wire.image.colours) = (format.rawValue, colours ?? "")
        wire.image.logarithmic = isLogarithmic
        return try await image(wire, deadline)
    }

    /// One frame, decoded, as a file: that at `position`, or the newest.
    public func frame(
        at position: Int?, acquisition: AcquisitionUUID? = nil, as format: ImageFileFormat = .npy,
        colours: String? = nil, isLogarithmic: Bool = false, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> ServerImage {
        var wire = WireRequest()
        wire.frame.newest = position == nil
        if let position {
            guard let number = UInt64(exactly: position) else {
                throw ControlFailure(.invalidArgument, "position \(position) cannot be: 0 or more")
            }
            wire.frame.position = number
        }
        wire.frame.acquisition = .init(acquisition?.bytes ?? [])
        (wire.frame.format, wire.frame.colours) = (format.rawValue, colours ?? "")
        wire.frame.logarithmic = isLogarithmic
        return try await image(wire, deadline)
    }

    private func image(_ wire: WireRequest, _ deadline: Duration) async throws(ControlFailure) -> ServerImage {
        let reply = try await request(wire, deadline: deadline)
        guard case .image(let image)? = reply.wire.kind, let part = reply.payloads.first else {
            throw Self.unexpected(reply)
        }
        guard part.withUnsafeBytes({ Checksum.xxh3($0) }) == image.checksum else {
            throw ControlFailure(.unexpectedReply, "the image was damaged on the way; ask again")
        }
        return ServerImage(wire: image, bytes: part.bytes)
    }

    /// Acquisitions of the past, the newest first.
    ///
    /// - Parameter before: only those before this number (``WireHistory/next`` of the page before).
    public func history(
        count: Int = 20, before: UInt64? = nil, acquisition: AcquisitionUUID? = nil, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> WireHistory {
        var wire = WireRequest()
        wire.history.count = UInt32(clamping: count)
        wire.history.before = before ?? 0
        wire.history.acquisition = .init(acquisition?.bytes ?? [])
        return try await ask(wire, deadline) { if case .history(let history)? = $0.wire.kind { history } else { nil } }
    }
}

extension WireDetectorSet {
    fileprivate init(_ setting: (name: String, value: String)) {
        self.init()
        (name, value) = setting
    }
}
