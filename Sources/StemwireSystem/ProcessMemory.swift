import CStemwireSystem
import Glibc

/// The process's memory.
public enum ProcessMemory {
    /// Has freed memory kept for the next use, up to `bytes`, instead of given back to the system at once.
    ///
    /// glibc gives blocks of a megabyte back as soon as two of them are free. For a program that receives such messages
    /// one after the other, the system then takes longer to hand out new, zeroed pages than to copy the bytes into them.
    /// Holds for the whole process, with glibc only.
    public static func keepFreed(upTo bytes: Int) {
        stemwire_keep_freed_memory(max(0, bytes))
    }

    /// Gives freed memory back to the system, as far as whole pages are free: what a busy time needed is not kept for ever.
    /// Holds up threads that allocate for some milliseconds. With glibc only.
    public static func giveBack() { stemwire_give_memory_back() }

    /// Bytes of the process that are in memory now; 0 when the system does not tell.
    public static var residentBytes: Int {
        guard let text = try? PrivateFile.read("/proc/self/statm", isSecret: false) else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}
