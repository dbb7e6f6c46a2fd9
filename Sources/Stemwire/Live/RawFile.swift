import Glibc
import MerlinProtocol
import StemwireSystem

/// What the bytes of a file without header are.
public struct RawLayout: Sendable, Hashable {
    /// The type of a pixel.
    public enum Pixel: String, Sendable, Hashable, CaseIterable {
        case uint8, uint16, uint32, uint64

        var byteCount: Int {
            switch self {
            case .uint8: 1
            case .uint16: 2
            case .uint32: 4
            case .uint64: 8
            }
        }
    }

    /// Scan shape, slow axis first.
    public var navShape: [Int]
    /// Image shape (y, x).
    public var sigShape: SigShape
    public var pixel: Pixel
    public var isBigEndian: Bool
    /// Bytes in front of the first pixel.
    public var offset: Int

    public init(
        navShape: [Int], sigShape: SigShape, pixel: Pixel, isBigEndian: Bool = false, offset: Int = 0
    ) {
        self.navShape = navShape
        self.sigShape = sigShape
        self.pixel = pixel
        self.isBigEndian = isBigEndian
        self.offset = offset
    }
}

/// A file that is read when its frames are due. Any thread.
final class RawFile: Sendable {
    let path: String
    let byteCount: Int
    private let descriptor: Int32

    init(_ path: String) throws(SystemError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError(operation: "open", subject: path) }
        var status = stat()
        let code: Int32? =
            fstat(descriptor, &status) != 0 ? errno : status.st_mode & S_IFMT != S_IFREG ? EISDIR : nil
        byteCount = Int(status.st_size)
        guard let code else { return }
        close(descriptor)
        throw SystemError(operation: "read", code: code, subject: path)
    }

    deinit { close(descriptor) }

    /// - Throws: `SystemError`, `FileBecameShorter`.
    func read(from offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let count = pread(descriptor, base + done, bytes.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw FileBecameShorter(path: path, offset: offset + done)
            } else if errno != EINTR {
                throw SystemError(operation: "read", subject: path)
            }
        }
    }
}

/// A file that has fewer bytes than it had when it was opened.
struct FileBecameShorter: Error, Sendable, CustomStringConvertible {
    let path: String
    let offset: Int

    var description: String { "\(path) became shorter while it was read: nothing is left at byte \(offset)" }
}
