import Glibc

/// One `.mib` file: frame messages without their prefix, one behind the other, all of one size.
///
/// Opened once, closed when the last reference goes. Reads are positioned reads, so any number of threads may read
/// at the same time.
public final class MIBFile: Sendable {
    public let path: String
    /// What every frame of the file is.
    public let format: FrameFormat
    /// The first frame's header fields.
    public let firstFrame: FrameHeaderFields
    /// Whole frames in the file; a rest behind the last whole one is not counted.
    public let frameCount: Int
    /// Bytes behind the last whole frame.
    public let trailingBytes: Int

    private let descriptor: Int32

    /// Longest frame header looked at. Real ones have 256 bytes and 128 more per chip.
    private static let headBytes = 1 << 16

    /// Opens a file and reads its first frame's header.
    ///
    /// A file tells nothing about the size of its frames but by that header. For raw frames without counter depth
    /// (A19) it is the acquisition header's, else the depth at which a second frame follows the first or the file
    /// ends. The same way `U01` is found to be packed or not (A4).
    ///
    /// - Parameters:
    ///   - path: with any extension.
    ///   - acquisitionDepth: Counter Depth of the `.hdr` file.
    public init(path: String, acquisitionDepth: CounterDepth? = nil) throws(MIBError) {
        // Non-blocking, so that a named pipe is refused and not waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", code: errno) }
        do throws(MIBError) {
            let size = try Self.size(descriptor, path: path)
            let head = try Self.head(descriptor, path: path, size: size)
            (firstFrame, format) = try Self.format(
                head: head, descriptor: descriptor, path: path, size: size, acquisitionDepth: acquisitionDepth)
            guard size >= format.messageBytes else {
                throw .noWholeFrame(path: path, bytes: size, frameBytes: format.messageBytes)
            }
            frameCount = size / format.messageBytes
            trailingBytes = size % format.messageBytes
        } catch {
            close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Bytes of one frame in the file: header and pixels.
    public var frameBytes: Int { format.messageBytes }

    /// Reads frames as they are in the file: header and pixels of each, one behind the other.
    ///
    /// - Parameters:
    ///   - frames: within 0..<``frameCount``.
    ///   - destination: at least `frames.count` × ``frameBytes``.
    public func readFrames(_ frames: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws(MIBError) {
        precondition(frames.lowerBound >= 0 && frames.upperBound <= frameCount, "frames \(frames) of \(frameCount)")
        precondition(destination.count >= frames.count * frameBytes, "too small a buffer for \(frames.count) frames")
        try Self.read(
            descriptor, path: path, offset: frames.lowerBound * frameBytes,
            into: UnsafeMutableRawBufferPointer(rebasing: destination[..<(frames.count * frameBytes)]))
    }

    /// Reads frames, header and pixels of each, to places that are `stride` bytes apart.
    ///
    /// - Parameters:
    ///   - frames: within 0..<``frameCount``.
    ///   - destination: the place of the first; at least (`frames.count` - 1) × `stride` + ``frameBytes``.
    ///   - stride: at least ``frameBytes``.
    public func readFrames(
        _ frames: Range<Int>, into destination: UnsafeMutableRawPointer, stride: Int
    ) throws(MIBError) {
        precondition(frames.lowerBound >= 0 && frames.upperBound <= frameCount, "frames \(frames) of \(frameCount)")
        precondition(stride >= frameBytes, "places of \(stride) bytes for frames of \(frameBytes)")
        var next = frames.lowerBound
        while next < frames.upperBound {
            let count = min(Self.framesAtOnce, frames.upperBound - next)
            let first = destination + (next - frames.lowerBound) * stride
            let isWhole = withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { places in
                for index in 0..<count {
                    places[index] = iovec(iov_base: first + index * stride, iov_len: frameBytes)
                }
                return preadv(descriptor, places.baseAddress, Int32(count), off_t(next * frameBytes))
                    == count * frameBytes
            }
            // What could not be read at one go is read, or found to be missing, frame by frame.
            if !isWhole {
                for index in 0..<count {
                    try Self.read(
                        descriptor, path: path, offset: (next + index) * frameBytes,
                        into: UnsafeMutableRawBufferPointer(start: first + index * stride, count: frameBytes))
                }
            }
            next += count
        }
    }

    private static let framesAtOnce = 64

    /// Reads the header of a frame, padding included, into at least `format.dataOffset` bytes.
    public func readHeader(ofFrame index: Int, into destination: UnsafeMutableRawBufferPointer) throws(MIBError) {
        precondition((0..<frameCount).contains(index), "frame \(index) of \(frameCount)")
        precondition(destination.count >= format.dataOffset, "too small a buffer for the header of a frame")
        try Self.read(
            descriptor, path: path, offset: index * frameBytes,
            into: UnsafeMutableRawBufferPointer(rebasing: destination[..<format.dataOffset]))
    }

    /// Reads a frame's pixels as stored (see ``format``) into at least `format.payloadBytes` bytes.
    public func readPixels(ofFrame index: Int, into destination: UnsafeMutableRawBufferPointer) throws(MIBError) {
        precondition((0..<frameCount).contains(index), "frame \(index) of \(frameCount)")
        precondition(destination.count >= format.payloadBytes, "too small a buffer for the pixels of a frame")
        try Self.read(
            descriptor, path: path, offset: index * frameBytes + format.dataOffset,
            into: UnsafeMutableRawBufferPointer(rebasing: destination[..<format.payloadBytes]))
    }

    /// A frame's pixels as stored; see ``format``.
    public func pixels(ofFrame index: Int) throws(MIBError) -> [UInt8] {
        var pixels = [UInt8](repeating: 0, count: format.payloadBytes)
        try Self.filling(&pixels) { (buffer) throws(MIBError) in try readPixels(ofFrame: index, into: buffer) }
        return pixels
    }

    /// The header bytes of a frame, padding included.
    public func headerBytes(ofFrame index: Int) throws(MIBError) -> [UInt8] {
        precondition((0..<frameCount).contains(index), "frame \(index) of \(frameCount)")
        var header = [UInt8](repeating: 0, count: format.dataOffset)
        try Self.filling(&header) { (buffer) throws(MIBError) in try readHeader(ofFrame: index, into: buffer) }
        return header
    }

    /// The header of a frame.
    public func header(ofFrame index: Int) throws(MIBError) -> FrameHeader {
        let bytes = try headerBytes(ofFrame: index)
        let result = bytes.withUnsafeBytes { (body) -> Result<FrameHeader, FrameHeaderError> in
            Result { () throws(FrameHeaderError) in try FrameHeader.parse(body) }
        }
        switch result {
        case .success(let header): return header
        case .failure(let error): throw .frameHeader(path: path, error)
        }
    }
}

// MARK: - Finding the format

extension MIBFile {
    private static func head(_ descriptor: Int32, path: String, size: Int) throws(MIBError) -> [UInt8] {
        var head = [UInt8](repeating: 0, count: min(size, headBytes))
        try filling(&head) { (buffer) throws(MIBError) in try read(descriptor, path: path, offset: 0, into: buffer) }
        return head
    }

    private static func format(
        head: [UInt8], descriptor: Int32, path: String, size: Int, acquisitionDepth: CounterDepth?
    ) throws(MIBError) -> (FrameHeaderFields, FrameFormat) {
        let parsed = head.withUnsafeBytes { (body) -> Result<(FrameHeaderFields, CounterDepth?), FrameHeaderError> in
            Result { () throws(FrameHeaderError) in
                let fields = try FrameHeaderFields.parse(body)
                return (fields, try FrameHeader.counterDepth(in: body, dataOffset: fields.dataOffset))
            }
        }
        let fields: FrameHeaderFields
        let depth: CounterDepth?
        switch parsed {
        case .success(let found): (fields, depth) = (found.0, found.1 ?? acquisitionDepth)
        case .failure(let error): throw .frameHeader(path: path, error)
        }
        var candidates = payloadCandidates(fields, depth: depth)
        if candidates.count > 1 {
            var fitting: [Int] = []
            for bytes in candidates
            where try frameEnds(at: fields.dataOffset + bytes, descriptor: descriptor, path: path, size: size) {
                fitting.append(bytes)
            }
            if !fitting.isEmpty { candidates = fitting }
        }
        do throws(FrameFormatError) {
            return (fields, try FrameFormat(fields: fields, payloadBytes: candidates[0], depth: depth))
        } catch {
            throw .format(path: path, error)
        }
    }

    /// The sizes that the pixels of a frame may have by its header; at least one.
    private static func payloadCandidates(_ fields: FrameHeaderFields, depth: CounterDepth?) -> [Int] {
        let pixels = fields.width * fields.height
        switch (fields.pixelType, depth) {
        case (.u01, _): return fields.width % 8 == 0 ? [pixels / 8, pixels] : [pixels]
        case (.u08, _): return [pixels]
        case (.u16, _): return [2 * pixels]
        case (.u32, _): return [4 * pixels]
        case (.u64, _): return [8 * pixels]
        case (.r64, .one): return [pixels / 8]
        case (.r64, .six): return [pixels]
        // At 24 bits the width is doubled already.
        case (.r64, .twelve), (.r64, .twentyFour): return [2 * pixels]
        case (.r64, nil): return [2 * pixels, pixels, pixels / 8]
        }
    }

    /// Whether the file ends at `offset` or a frame begins there.
    private static func frameEnds(
        at offset: Int, descriptor: Int32, path: String, size: Int
    ) throws(MIBError) -> Bool {
        guard offset + 4 <= size else { return offset == size }
        var mark = [UInt8](repeating: 0, count: 4)
        try filling(&mark) { (buffer) throws(MIBError) in
            try read(descriptor, path: path, offset: offset, into: buffer)
        }
        return mark.elementsEqual("MQ1,".utf8)
    }
}

// MARK: - Reading

extension MIBFile {
    private static func size(_ descriptor: Int32, path: String) throws(MIBError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(path: path, operation: "look at", code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .system(path: path, operation: "read", code: EISDIR) }
        return Int(status.st_size)
    }

    private static func read(
        _ descriptor: Int32, path: String, offset: Int, into destination: UnsafeMutableRawBufferPointer
    ) throws(MIBError) {
        var done = 0
        while done < destination.count, let base = destination.baseAddress {
            let count = pread(descriptor, base + done, destination.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw .endedEarly(path: path, offset: offset + done)
            } else if errno != EINTR {
                throw .system(path: path, operation: "read", code: errno)
            }
        }
    }

    private static func filling(
        _ bytes: inout [UInt8], _ body: (UnsafeMutableRawBufferPointer) throws(MIBError) -> Void
    ) throws(MIBError) {
        let result = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(MIBError) in try body(buffer) }
        }
        if case .failure(let error) = result { throw error }
    }
}
