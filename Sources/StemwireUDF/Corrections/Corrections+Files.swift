import StemwireKernels

extension Corrections {
    /// The largest file that is read: an image of 8192 × 8192 `float64`.
    private static let largestFile = 1 << 29 + 4096

    /// Reads corrections from `.npy` files.
    ///
    /// - Parameters:
    ///   - dark: path of an image (y, x) of real numbers; nil for none.
    ///   - gain: path of an image (y, x) of real numbers; nil for none.
    ///   - excluded: path of a mask (y, x), or of a list of places, integers of shape (pixels, 2) with rows y, x; nil
    ///     for none.
    ///   - keepsIsolatedPixels: whether excluded pixels without a good neighbour are left as they are.
    /// - Throws: `CorrectionsError` that names the file.
    public init(
        darkFile dark: String?, gainFile gain: String?, excludedFile excluded: String?,
        keepsIsolatedPixels: Bool = false
    ) throws(CorrectionsError) {
        func image(_ path: String?) throws(CorrectionsError) -> ResultArray? {
            guard let path else { return nil }
            do throws(NumpyFileError) {
                return try NumpyFile.read(path, largest: Self.largestFile)
            } catch {
                throw .unreadable(error.description)
            }
        }
        var pixels: ExcludedPixels?
        if let excluded, let array = try image(excluded) {
            do throws(CorrectionsError) {
                pixels = try ExcludedPixels(array: array)
            } catch {
                throw .unreadable("\(excluded): \(error)")
            }
        }
        self.init(
            dark: try image(dark), gain: try image(gain), excluded: pixels, keepsIsolatedPixels: keepsIsolatedPixels)
    }

    /// Corrections as they travel: three `.npy` files, empty where there is none.
    package struct Encoded: Sendable, Hashable {
        package var dark: [UInt8]
        package var gain: [UInt8]
        /// As `ExcludedPixels.array`.
        package var excluded: [UInt8]
        package var keepsIsolatedPixels: Bool

        package init(dark: [UInt8], gain: [UInt8], excluded: [UInt8], keepsIsolatedPixels: Bool) {
            self.dark = dark
            self.gain = gain
            self.excluded = excluded
            self.keepsIsolatedPixels = keepsIsolatedPixels
        }
    }

    package var encoded: Encoded {
        Encoded(
            dark: dark.map(NumpyFile.encode) ?? [], gain: gain.map(NumpyFile.encode) ?? [],
            excluded: excluded.map { NumpyFile.encode($0.array) } ?? [], keepsIsolatedPixels: keepsIsolatedPixels)
    }

    /// Takes corrections that travelled.
    ///
    /// - Throws: `CorrectionsError` when the bytes are no such files. Whether they fit is checked when a run is planned.
    package init(_ encoded: Encoded) throws(CorrectionsError) {
        func array(_ bytes: [UInt8], _ what: String) throws(CorrectionsError) -> ResultArray? {
            guard !bytes.isEmpty else { return nil }
            let result: Result<ResultArray, NumpyFileError> = bytes.withUnsafeBytes { bytes in
                do throws(NumpyFileError) {
                    return .success(try NumpyFile.decode(bytes))
                } catch {
                    return .failure(error)
                }
            }
            do throws(NumpyFileError) {
                return try result.get()
            } catch {
                throw .unreadable("\(what): \(error)")
            }
        }
        let places = try array(encoded.excluded, "the excluded pixels")
        self.init(
            dark: try array(encoded.dark, "the dark frame"), gain: try array(encoded.gain, "the gain map"),
            excluded: try places.map { array throws(CorrectionsError) in try ExcludedPixels(array: array) },
            keepsIsolatedPixels: encoded.keepsIsolatedPixels)
    }

    /// Tells corrections apart: equal ones have equal hashes on all machines.
    var contentHash: UInt64 {
        let encoded = encoded
        // The sizes keep one array's end apart from the next one's beginning.
        let sizes = "\(encoded.dark.count),\(encoded.gain.count),\(keepsIsolatedPixels)"
        return ContentHash.of(Array(sizes.utf8) + encoded.dark + encoded.gain + encoded.excluded)
    }
}
