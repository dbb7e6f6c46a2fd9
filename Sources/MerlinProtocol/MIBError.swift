import Glibc

/// Why a recording cannot be read.
public enum MIBError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A system call on a file or directory failed with this `errno`.
    case system(path: String, operation: String, code: Int32)
    /// Neither `.hdr` nor `.mib`.
    case fileExtension(path: String)
    /// The `.hdr` file is no acquisition header.
    case acquisitionHeader(path: String, AcquisitionHeaderError)
    /// The first frame's header cannot be read.
    case frameHeader(path: String, FrameHeaderError)
    /// The first frame cannot be decoded.
    case format(path: String, FrameFormatError)
    /// The file ends before the end of its first frame.
    case noWholeFrame(path: String, bytes: Int, frameBytes: Int)
    /// No `.mib` file belongs to the `.hdr` file.
    case noFrames(path: String)
    /// The file became shorter while it was read.
    case endedEarly(path: String, offset: Int)
    /// A synchronisation offset that leaves no frame, or one beyond all reason.
    case synchronisationOffset(Int, frames: Int)

    public var description: String {
        switch self {
        case .system(let path, let operation, let code):
            "cannot \(operation) \(path): \(String(cString: strerror(code)))"
        case .fileExtension(let path):
            "\(path) is no Merlin recording: its name must end in .hdr or .mib"
        case .acquisitionHeader(let path, let error):
            "\(path): \(error)"
        case .frameHeader(let path, let error):
            "\(path): \(error)"
        case .format(let path, let error):
            "\(path): \(error)"
        case .noWholeFrame(let path, let bytes, let frameBytes):
            "\(path) has \(bytes) bytes, but its first frame would take \(frameBytes): the recording is cut short"
        case .noFrames(let path):
            "no .mib file with the name of \(path) lies beside it"
        case .endedEarly(let path, let offset):
            "\(path) ended at byte \(offset) while it was read: another program may be writing it"
        case .synchronisationOffset(let offset, let frames):
            "a synchronisation offset of \(offset) makes no sense with \(frames) frames"
        }
    }
}
