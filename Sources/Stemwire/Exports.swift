// A script imports `Stemwire` alone: what its interface is made of comes with it.
@_exported import MerlinProtocol
@_exported import StemwireAcquisition
@_exported import StemwireKernels
@_exported import StemwireUDF
