import CStemwireSystem
import Glibc

/// Memory of this process that other processes of the machine and user can map, for reading only. It has no name that
/// could stay behind: it goes with the last process that has it mapped.
public final class SharedMemory: Sendable {
    public let byteCount: Int
    // Its address never changes; who may use which part is the user's affair.
    nonisolated(unsafe) public let base: UnsafeMutableRawPointer
    /// Tells the file from all others of this machine.
    public let inode: UInt64
    private let descriptor: Int32

    /// Reserves memory, which is taken from the system when it is first written to.
    ///
    /// - Throws: `SystemError` when there is not so much, or the system has no such memory.
    public init(name: String, byteCount: Int) throws(SystemError) {
        descriptor = stemwire_shared_memory(name, byteCount)
        guard descriptor >= 0 else { throw SystemError(operation: "reserve \(byteCount >> 20) MiB of shared memory") }
        var attributes = stat()
        guard fstat(descriptor, &attributes) == 0,
            let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED
        else {
            let error = SystemError(operation: "map \(byteCount >> 20) MiB of shared memory")
            close(descriptor)
            throw error
        }
        self.base = base
        self.byteCount = byteCount
        inode = UInt64(attributes.st_ino)
        // An old kernel does without: who could write to it could write to all memory of this process anyway.
        _ = stemwire_let_others_only_read(descriptor)
    }

    deinit {
        munmap(base, byteCount)
        close(descriptor)
    }

    /// What other processes open.
    public var path: String { "/proc/\(getpid())/fd/\(descriptor)" }
}
