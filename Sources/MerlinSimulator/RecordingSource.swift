import MerlinProtocol

/// Frames as recorded in files, numbered anew.
struct RecordingSource: FrameSource {
    private(set) var setup: DetectorSetup
    let variesByAcquisition = false
    private let files: MIBFileSet
    private let frameHeader: FrameHeader

    /// - Parameters:
    ///   - navShape: nil for the scan size of the `.hdr` file, or what frames per trigger say.
    /// - Throws: `MIBError`; `SimulatorConfigurationError` when the scan shape does not fit the frames.
    init(path: String, navShape: [Int]?) throws {
        files = try MIBFileSet(path: path)
        frameHeader = try MIBFile(
            path: files.members[0].path, acquisitionDepth: files.acquisitionHeader?.counterDepth
        ).header(ofFrame: 0)
        let format = files.format
        guard let shape = navShape ?? Self.recordedShape(files) else {
            throw SimulatorConfigurationError(
                option: "--nav-shape",
                reason: "needed, since \(path) does not tell how its \(files.frameCount) frames were scanned")
        }
        let frames = shape.reduce(1, *)
        guard frames <= files.frameCount else {
            throw SimulatorConfigurationError(
                option: "--nav-shape",
                reason: "\(frames) frames are more than the \(files.frameCount) of \(path)")
        }
        var setup = DetectorSetup(
            layout: format.layout, fullShape: format.sigShape,
            counterDepth: format.counterDepth ?? Self.widestDepth(format.pixelType),
            isRaw: format.pixelType == .r64, navShape: shape, chipCount: format.chipCount)
        setup.isRecording = true
        if let shutter = frameHeader.extended?.shutterNanoseconds {
            setup.frameMilliseconds = Double(shutter) / 1e6
        }
        self.setup = setup
    }

    /// The same recording with other settings at the start.
    func with(setup: DetectorSetup) -> RecordingSource {
        var source = self
        source.setup = setup
        return source
    }

    /// ScanY × ScanX, else N ÷ M lines of M frames for M frames per trigger, else one line.
    private static func recordedShape(_ files: MIBFileSet) -> [Int]? {
        guard let header = files.acquisitionHeader else { return nil }
        if let height = header.scanY, let width = header.scanX, height > 0, width > 0,
            height.multipliedReportingOverflow(by: width).partialValue <= files.frameCount
        {
            return [height, width]
        }
        if let line = header.framesPerTrigger.flatMap(Int.init(exactly:)), line > 1,
            files.frameCount.isMultiple(of: line)
        {
            return [files.frameCount / line, line]
        }
        return [files.frameCount]
    }

    private static func widestDepth(_ type: PixelType) -> CounterDepth {
        switch type {
        case .u01: .one
        case .u08: .six
        case .u16: .twelve
        case .u32, .u64, .r64: .twentyFour
        }
    }

    func writer(for plan: AcquisitionPlan, startedAt: CivilTime) throws -> any MessageWriter {
        RecordingWriter(files: files, header: header(plan, startedAt), frames: setup.frameCount)
    }

    /// The `.hdr` file's text, changed only where the acquisition differs from the recorded one.
    private func header(_ plan: AcquisitionPlan, _ time: CivilTime) -> [UInt8] {
        let frames = plan.frameCount ?? 0
        guard let recorded = files.acquisitionHeader else { return madeHeader(plan, time) }
        var text = recorded.text
        if recorded.framesInAcquisition != UInt64(frames) {
            text = AcquisitionHeaderText.replacing("Frames in Acquisition", with: String(frames), in: text)
        }
        if plan.setsFramesPerTrigger, recorded.framesPerTrigger != UInt64(plan.framesPerTrigger) {
            text = AcquisitionHeaderText.replacing(
                "Frames per Trigger", with: String(plan.framesPerTrigger), in: text)
        }
        return text
    }

    /// For frames without `.hdr` file.
    private func madeHeader(_ plan: AcquisitionPlan, _ time: CivilTime) -> [UInt8] {
        var pixelType = files.format.pixelType
        // The description of 1-bit images that are not packed.
        if pixelType == .u01 { pixelType = .u08 }
        let format = try? DetectorFormat(
            layout: files.format.layout, sigShape: files.format.sigShape, counterDepth: setup.counterDepth,
            pixelType: pixelType, chipCount: files.format.chipCount)
        guard let format else {
            let text = """
                HDR,\t\r\nCounter Depth (number):\t\(setup.counterDepth.rawValue)\r\n\
                Frames in Acquisition (Number):\t\(plan.frameCount ?? 0)\r\n\
                Frames per Trigger (Number):\t\(plan.framesPerTrigger)\r\nEnd\t
                """
            return Array(text.utf8)
        }
        var header = AcquisitionHeaderText(
            format: format, frames: UInt64(plan.frameCount ?? 0), framesPerTrigger: UInt64(plan.framesPerTrigger),
            time: time)
        header.triggerStart = plan.triggerStart
        header.triggerStop = plan.triggerStop
        if plan.navShape.count == 2, plan.frameCount.map({ $0 == plan.navShape[0] * plan.navShape[1] }) ?? true {
            header.scan = (plan.navShape[0], plan.navShape[1])
        }
        return header.encoded()
    }
}

private final class RecordingWriter: MessageWriter {
    let messageBytes: Int
    let headerMessage: [UInt8]
    let saturatedPixels = 0

    private let reader: MIBReader
    private let frames: Int

    init(files: MIBFileSet, header: [UInt8], frames: Int) {
        reader = MIBReader(files)
        self.frames = frames
        messageBytes = MPXPrefix.byteCount + files.format.messageBytes
        headerMessage = MPXPrefix.encoded(bodyBytes: header.count) + header
    }

    func write(frame: Int, into message: UnsafeMutableRawBufferPointer) throws {
        MPXPrefix.write(bodyBytes: messageBytes - MPXPrefix.byteCount, into: message)
        let body = UnsafeMutableRawBufferPointer(rebasing: message[MPXPrefix.byteCount...])
        let stored = frame % frames
        try reader.readFrames(stored..<(stored + 1), into: body)
        guard FrameHeaderText.renumber(body, to: UInt64(frame) + 1) else {
            throw SimulatorError.noRoomForNumber(frame + 1)
        }
    }
}
