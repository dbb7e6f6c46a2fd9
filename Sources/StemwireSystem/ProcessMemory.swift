import CStemwireSystem

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
}
