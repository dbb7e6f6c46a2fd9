import Logging

/// Sees changes of an allow-list file while a program runs. Used by one thread.
struct AllowListFollower {
    /// How often the file is to be looked at: who is revoked is cut off within a second.
    static let interval = Duration.milliseconds(200)

    let keys: KeyDirectory
    private var state: FileState?
    /// Whether the file was there, and could be read, at the last look: else nobody new comes in.
    private(set) var isThere = true

    /// Reads the list for the first time.
    ///
    /// - Throws: `TrustError`, also for a line that cannot be read.
    init(_ keys: KeyDirectory) throws(TrustError) {
        self.keys = keys
        state = keys.allowListState
        list = try keys.allowList()
        if let problem = list.problems.first { throw .badList(keys.allowListPath, problem) }
    }

    /// As it was read last.
    private(set) var list: AllowList

    /// Reads the file again if it has changed.
    ///
    /// - Returns: whether there is another list.
    mutating func look(_ logger: Logger) -> Bool {
        let found = keys.allowListState
        guard found != state || !isThere else { return false }
        state = found
        do throws(TrustError) {
            list = try keys.allowList()
        } catch {
            // Those who are in stay: a file system that is away for a moment is no revocation.
            if isThere {
                logger.error("the allow list cannot be read: nobody new comes in", metadata: ["why": "\(error)"])
            }
            isThere = false
            return false
        }
        isThere = true
        for problem in list.problems {
            logger.error("the allow list has a line that lets nobody in", metadata: ["why": "\(problem)"])
        }
        return true
    }
}
