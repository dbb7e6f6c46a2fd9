import MerlinProtocol

/// Where a simulator's acquisitions come from.
protocol FrameSource: Sendable {
    /// The detector that sends them.
    var setup: DetectorSetup { get }
    /// Whether frames differ from one acquisition to the next.
    var variesByAcquisition: Bool { get }

    /// A writer of the messages of one acquisition, for one thread.
    func writer(for plan: AcquisitionPlan, startedAt: CivilTime) throws -> any MessageWriter
}

/// Writes the messages of one acquisition. For one thread.
protocol MessageWriter: AnyObject {
    /// Bytes of a frame's message, prefix counted; the same for all frames.
    var messageBytes: Int { get }
    /// The acquisition header's message, prefix counted.
    var headerMessage: [UInt8] { get }
    /// Counts so far that were above the counter's limit.
    var saturatedPixels: Int { get }

    /// Writes the message of a frame, counted from 0, into exactly `messageBytes` bytes.
    func write(frame: Int, into message: UnsafeMutableRawBufferPointer) throws
}

/// Frames made by a ``FramePattern``.
struct PatternSource: FrameSource {
    let setup: DetectorSetup
    let variesByAcquisition: Bool
    private let hasScanKeys: Bool
    private let makePattern: @Sendable (DetectorFormat, AcquisitionPlan) -> any FramePattern

    /// - Parameter pattern: makes the pattern for the settings of an acquisition.
    init(
        setup: DetectorSetup, hasScanKeys: Bool, variesByAcquisition: Bool,
        pattern: @escaping @Sendable (DetectorFormat, AcquisitionPlan) -> any FramePattern
    ) {
        self.setup = setup
        self.hasScanKeys = hasScanKeys
        self.variesByAcquisition = variesByAcquisition
        makePattern = pattern
    }

    func writer(for plan: AcquisitionPlan, startedAt: CivilTime) throws -> any MessageWriter {
        let format = try setup.format(counterDepth: plan.counterDepth, isRaw: plan.isRaw, rows: plan.rows)
        return PatternWriter(
            pattern: makePattern(format, plan), format: format, plan: plan, startedAt: startedAt,
            hasScanKeys: hasScanKeys)
    }
}

private final class PatternWriter: MessageWriter {
    let messageBytes: Int
    let headerMessage: [UInt8]
    private(set) var saturatedPixels = 0

    private let pattern: any FramePattern
    private let encoder: FrameEncoder
    private let template: FrameHeaderText.Template
    private let plan: AcquisitionPlan
    private let startedAt: CivilTime
    private var image: [UInt32]

    init(
        pattern: any FramePattern, format: DetectorFormat, plan: AcquisitionPlan, startedAt: CivilTime,
        hasScanKeys: Bool
    ) {
        self.pattern = pattern
        self.plan = plan
        self.startedAt = startedAt
        encoder = FrameEncoder(format)
        messageBytes = MPXPrefix.byteCount + format.bodyBytes
        image = [UInt32](repeating: 0, count: format.sigShape.pixelCount)

        var frameHeader = FrameHeaderText(format)
        frameHeader.counter = plan.counter
        frameHeader.gain = GainMode(rawValue: plan.gain) ?? .superLow
        frameHeader.thresholds = plan.thresholds
        frameHeader.shutterNanoseconds = plan.shutterNanoseconds
        template = frameHeader.template()

        var header = AcquisitionHeaderText(
            format: format, frames: UInt64(plan.frameCount ?? 0), framesPerTrigger: UInt64(plan.framesPerTrigger),
            time: startedAt)
        header.triggerStart = plan.triggerStart
        header.triggerStop = plan.triggerStop
        header.gain = frameHeader.gain
        header.counter = plan.counter
        header.thresholds = plan.thresholds
        header.bias = plan.bias
        header.continuousReadWrite = plan.continuousReadWrite
        let scan = (height: plan.navShape.dropLast().reduce(1, *), width: plan.navShape[plan.navShape.count - 1])
        if hasScanKeys, plan.frameCount == nil || plan.frameCount == scan.height * scan.width { header.scan = scan }
        let body = header.encoded()
        headerMessage = MPXPrefix.encoded(bodyBytes: body.count) + body
    }

    func write(frame: Int, into message: UnsafeMutableRawBufferPointer) throws {
        MPXPrefix.write(bodyBytes: messageBytes - MPXPrefix.byteCount, into: message)
        let body = UnsafeMutableRawBufferPointer(rebasing: message[MPXPrefix.byteCount...])
        let time = startedAt.advanced(byNanoseconds: frame &* plan.periodNanoseconds)
        template.write(sequenceNumber: UInt64(frame) + 1, time: time, into: body)
        let payload = UnsafeMutableRawBufferPointer(rebasing: body[encoder.format.dataOffset...])
        image.withUnsafeMutableBufferPointer { image in
            pattern.render(frame: frame, acquisition: plan.id, into: image)
            saturatedPixels += encoder.encode(UnsafeBufferPointer(image), into: payload)
        }
    }
}
