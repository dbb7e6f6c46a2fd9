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

    /// Lets this process open as many files and sockets as the system permits, which is often more than it starts with.
    public static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The machine's name in its network.
    public static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
