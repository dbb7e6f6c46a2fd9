import CStemwireSystem
import Glibc

/// What this process may use of the machine it runs on.
public enum Machine {
    /// Processors, at least one: fewer than there are when a scheduler such as Slurm has bound the process to some.
    public static var processors: Int { max(1, Int(stemwire_usable_processors())) }

    /// Bytes of memory that the machine has.
    public static var memoryBytes: Int {
        let (pages, size) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
        return pages > 0 && size > 0 ? pages * size : 1 << 30
    }

    /// The machine's name in its network.
    public static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Files and sockets that this process has open; 0 when the system does not tell.
    public static var openDescriptors: Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // The folder itself, its own name and its parent's are none.
        return max(0, count - 3)
    }

    /// Bytes that may still be written to the file system of `path`; nil when it cannot be asked.
    public static func freeDiskBytes(_ path: String) -> Int? {
        var system = statvfs()
        guard statvfs(path, &system) == 0 else { return nil }
        return Int(clamping: UInt64(system.f_bavail) &* UInt64(system.f_frsize))
    }

    /// How many descriptors the process may have.
    public static var descriptorLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// Lets the process have as many descriptors as the system allows it, at most `count`. Returns how many it may have.
    @discardableResult
    public static func raiseDescriptorLimit(to count: Int) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        let wanted = min(rlim_t(count), limit.rlim_max)
        if limit.rlim_cur < wanted {
            limit.rlim_cur = wanted
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}
