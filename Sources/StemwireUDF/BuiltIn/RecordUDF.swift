import StemwireKernels

/// `record`: writes the frames to a `.npy` file while they are processed, shape nav + sig, in the type of the pixels.
///
/// The file is `<filename>.partial` until every frame has come, and then gets its name: what has the name is complete. A
/// scan with lost frames leaves the `.partial`, which NumPy reads as well; channel `recorded` (nav, bool) tells which frames
/// are in it, the others are zero. A file that exists is not replaced, unless `overwrite` says so. As with LiberTEM's
/// `RecordUDF`, there can be no region of interest. With corrections, what is written is corrected.
///
/// **Where.** The file is on the machine where the UDF runs, and one process must write all of it: on an acquisition
/// server that is the server itself, never a worker.
///
/// **Errors.** That a file exists already, or its folder cannot be written to, is told before the scan; that the disk is
/// full when the first frame comes, if it can be foreseen, else with the frames that could not be written.
public struct RecordUDF: TileUDF {
    public static let name = "record"
    public static let parameterHelp = [
        "filename": "path of the .npy file to write, where the UDF runs",
        "overwrite": "true: replace an existing file once all frames are there",
    ]

    public struct Parameters: UDFParameters {
        /// The path of the `.npy` file.
        public var filename: String?
        /// Whether an existing file is replaced.
        public var overwrite = false

        public init() {}

        public init(filename: String?, overwrite: Bool = false) {
            self.filename = filename
            self.overwrite = overwrite
        }
    }

    private let recording: FrameRecording

    public init(parameters: Parameters, meta: UDFMeta) throws {
        guard let filename = parameters.filename, !filename.isEmpty, filename.last != "/" else {
            throw UDFFailure("filename: no file to write is given, such as filename=scan.npy")
        }
        guard meta.roi == nil else {
            throw UDFFailure("filename: a recording is of all frames; leave out the region of interest")
        }
        recording = try FrameRecording(path: filename, replaces: parameters.overwrite, meta)
        do {
            try recording.check()
        } catch {
            throw UDFFailure("filename: \(error)")
        }
    }

    public var needsOneProcess: Bool { true }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("recorded", .bool)] }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        let frameBytes = tile.pixelCount * tile.dtype.byteCount
        if tile.frameStride == frameBytes {
            try recording.write(
                UnsafeRawBufferPointer(start: tile.base, count: tile.count * frameBytes), at: tile.positions)
        } else {
            for (index, position) in tile.positions.enumerated() {
                let frame = UnsafeRawBufferPointer(start: tile.base + index * tile.frameStride, count: frameBytes)
                try recording.write(frame, at: position..<position + 1)
            }
        }
        try context.buffer("recorded", as: Bool.self).update(repeating: true)
    }
}
