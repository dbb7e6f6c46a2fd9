import Glibc

/// A file without a name, of a fixed size, all of whose blocks are there: writing to it cannot run out of disk space, and
/// nothing is left of it when the process is gone, however it went.
struct SpoolFile: ~Copyable {
    let byteCount: Int
    let directory: String
    private let descriptor: Int32

    /// The part of the free space that is left for others.
    private static let shareLeftAlone = 20

    /// - Parameter directory: nil for the temporary directory for large files: `TMPDIR`, else the one of the system.
    init(bytes: Int, directory: String?) throws(SpoolError) {
        let directory = directory ?? Self.temporaryDirectory
        var template = Array("\(directory)/stemwire-spool-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw .system(directory: directory, operation: "make", code: errno) }
        unlink(template)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        do throws(SpoolError) {
            try Self.reserve(bytes, descriptor, directory)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        self.directory = directory
        byteCount = bytes
    }

    deinit { close(descriptor) }

    /// All of the file, to be read; stays when the file is closed.
    func mapped() throws(SpoolError) -> UnsafeMutableRawPointer {
        guard let memory = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
            throw .system(directory: directory, operation: "map", code: errno)
        }
        return memory
    }

    /// Writes bytes; they are in the mapped memory then. Any thread.
    ///
    /// By a call and not through the mapped memory: that takes a page fault for each new page, many times the time of the
    /// copy, and a disk that fails would end the process.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SpoolError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 || errno != EINTR {
                throw .system(directory: directory, operation: "write to", code: count == 0 ? EIO : errno)
            }
        }
    }

    private static var temporaryDirectory: String {
        if let path = getenv("TMPDIR"), path.pointee != 0 { return String(cString: path) }
        // By convention on disk, where the usual one may be in memory.
        let large = "/var/tmp"
        return access(large, W_OK) == 0 ? large : P_tmpdir
    }

    private static func reserve(_ bytes: Int, _ descriptor: Int32, _ directory: String) throws(SpoolError) {
        let free = try freeBytes(descriptor, directory)
        guard bytes <= free - free / shareLeftAlone else {
            throw .noSpace(directory: directory, wantedBytes: bytes, freeBytes: free)
        }
        var code = posix_fallocate(descriptor, 0, off_t(bytes))
        while code == EINTR { code = posix_fallocate(descriptor, 0, off_t(bytes)) }
        switch code {
        case 0: return
        case ENOSPC:
            throw .noSpace(
                directory: directory, wantedBytes: bytes, freeBytes: try freeBytes(descriptor, directory))
        default: throw .system(directory: directory, operation: "reserve \(bytes >> 20) MiB for", code: code)
        }
    }

    private static func freeBytes(_ descriptor: Int32, _ directory: String) throws(SpoolError) -> Int {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else {
            throw .system(directory: directory, operation: "find the free space for", code: errno)
        }
        let (bytes, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
            by: Int(clamping: status.f_frsize))
        return overflow ? .max : bytes
    }
}
