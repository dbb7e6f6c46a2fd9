/// Reads the frames of a file set in any order, keeping one file open.
///
/// For one thread; several readers of one set may be used at the same time.
public final class MIBReader {
    public let set: MIBFileSet
    private var open: (member: Int, file: MIBFile)?

    public init(_ set: MIBFileSet) {
        self.set = set
    }

    /// Reads consecutive frames, header and pixels of each, one behind the other.
    ///
    /// A blank frame (see ``MIBFileSet/synchronisationOffset``) has the first stored frame's header and pixels 0.
    ///
    /// - Parameters:
    ///   - frames: within 0..<`set.frameCount`.
    ///   - destination: at least `frames.count` × `set.format.messageBytes`.
    public func readFrames(_ frames: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws(MIBError) {
        let frameBytes = set.format.messageBytes
        precondition(frames.lowerBound >= 0 && frames.upperBound <= set.frameCount)
        precondition(destination.count >= frames.count * frameBytes, "too small a buffer for \(frames.count) frames")
        var next = frames.lowerBound
        while next < frames.upperBound {
            let done = (next - frames.lowerBound) * frameBytes
            let rest = UnsafeMutableRawBufferPointer(rebasing: destination[done...])
            guard let (member, frame) = set.location(ofFrame: next) else {
                try readBlank(into: rest)
                next += 1
                continue
            }
            let file = try file(member)
            let count = min(frames.upperBound - next, set.members[member].frameCount - frame)
            try file.readFrames(frame..<(frame + count), into: rest)
            next += count
        }
    }

    /// Reads consecutive frames, none of them a blank one, to places that are `stride` bytes apart.
    ///
    /// - Parameters:
    ///   - frames: within 0..<`set.frameCount`.
    ///   - destination: the place of the first; at least (`frames.count` - 1) × `stride` + `set.format.messageBytes`.
    ///   - stride: at least `set.format.messageBytes`.
    public func readFrames(
        _ frames: Range<Int>, into destination: UnsafeMutableRawPointer, stride: Int
    ) throws(MIBError) {
        var next = frames.lowerBound
        while next < frames.upperBound {
            guard let (member, frame) = set.location(ofFrame: next) else {
                preconditionFailure("frame \(next) is a blank one")
            }
            let file = try file(member)
            let count = min(frames.upperBound - next, set.members[member].frameCount - frame)
            try file.readFrames(
                frame..<(frame + count), into: destination + (next - frames.lowerBound) * stride, stride: stride)
            next += count
        }
    }

    /// Reads the header of a frame, padding included, into at least `set.format.dataOffset` bytes. Not for a blank frame.
    public func readHeader(ofFrame index: Int, into destination: UnsafeMutableRawBufferPointer) throws(MIBError) {
        guard let (member, frame) = set.location(ofFrame: index) else {
            preconditionFailure("frame \(index) is a blank one")
        }
        try file(member).readHeader(ofFrame: frame, into: destination)
    }

    /// Reads a frame's pixels as stored into at least `set.format.payloadBytes` bytes; 0 for a blank frame.
    public func readPixels(ofFrame index: Int, into destination: UnsafeMutableRawBufferPointer) throws(MIBError) {
        precondition(destination.count >= set.format.payloadBytes, "too small a buffer for the pixels of a frame")
        guard let (member, frame) = set.location(ofFrame: index) else {
            UnsafeMutableRawBufferPointer(rebasing: destination[..<set.format.payloadBytes])
                .initializeMemory(as: UInt8.self, repeating: 0)
            return
        }
        try file(member).readPixels(ofFrame: frame, into: destination)
    }

    /// A frame's pixels as stored; 0 for a blank frame.
    public func pixels(ofFrame index: Int) throws(MIBError) -> [UInt8] {
        guard let (member, frame) = set.location(ofFrame: index) else {
            return [UInt8](repeating: 0, count: set.format.payloadBytes)
        }
        return try file(member).pixels(ofFrame: frame)
    }

    private func readBlank(into destination: UnsafeMutableRawBufferPointer) throws(MIBError) {
        let format = set.format
        try file(0).readFrames(0..<1, into: destination)
        UnsafeMutableRawBufferPointer(rebasing: destination[format.dataOffset..<format.messageBytes])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }

    private func file(_ member: Int) throws(MIBError) -> MIBFile {
        if let open, open.member == member { return open.file }
        let file = try MIBFile(path: set.members[member].path, acquisitionDepth: set.acquisitionHeader?.counterDepth)
        guard file.format == set.format, file.frameCount >= set.members[member].frameCount else {
            throw .endedEarly(path: file.path, offset: file.frameCount * file.frameBytes)
        }
        open = (member, file)
        return file
    }
}
