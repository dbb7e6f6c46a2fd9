import StemwireProtocol
import StemwireUDF

/// The arrays of a run as they travel: its region of interest, its corrections, and auxiliary data of its UDFs.
package struct RunArrays {
    /// In the order of the payload parts.
    package private(set) var headers: [WireArrayHeader] = []
    package private(set) var payload: [ResultArray] = []

    /// - Parameter roi: one bit a scan position, the first position in the lowest bit; nil for all positions.
    package init(roi: [UInt8]?, corrections: Corrections?, requests: [UDFRequest]) {
        if let roi { add(ResultArray(roi, shape: [roi.count]), .roi) }
        if let corrections {
            if let dark = corrections.dark { add(dark, .dark) }
            if let gain = corrections.gain { add(gain, .gain) }
            if let excluded = corrections.excluded { add(excluded.array, .excluded) }
        }
        for request in requests {
            for (name, array) in request.auxiliary.sorted(by: { $0.key < $1.key }) {
                add(array, .auxiliary, udf: request.id, name: name)
            }
        }
    }

    private mutating func add(_ array: ResultArray, _ purpose: ArrayPurpose, udf: String = "", name: String = "") {
        headers.append(WireArrayHeader(array, purpose: purpose, udf: udf, name: name))
        payload.append(array)
    }
}

/// The arrays of a run as they came.
package struct ReceivedRunArrays {
    /// One bit a scan position, the first position in the lowest bit; nil for all positions.
    package private(set) var roi: [UInt8]?
    package private(set) var corrections = Corrections()

    /// - Parameter requests: gets the auxiliary data.
    /// - Throws: `ReceivedArrayError`, or what is wrong with the pixels to exclude. Whether shapes fit the frames shows
    ///   when the run is planned.
    package init(_ received: ReceivedArrays, requests: inout [UDFRequest]) throws {
        var arrays = received
        while let next = arrays.next {
            switch ArrayPurpose(rawValue: next.purpose) {
            case .roi: roi = try arrays.takeBytes()
            case .dark: corrections.dark = try arrays.takeArray()
            case .gain: corrections.gain = try arrays.takeArray()
            case .excluded: corrections.excluded = try ExcludedPixels(array: arrays.takeArray())
            case .auxiliary:
                guard let index = requests.firstIndex(where: { $0.id == next.udf }) else {
                    throw ReceivedArrayError("auxiliary data for \"\(next.udf)\", which is no UDF of the run")
                }
                requests[index].auxiliary[next.name] = try arrays.takeArray()
            case .buffer, nil:
                // Leaving it out would give other results.
                throw ReceivedArrayError("arrays for \"\(next.purpose)\" are not known here; update this program")
            }
        }
    }
}
